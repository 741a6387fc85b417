// Wine, which runs the mongod of a wheel for Windows.
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { unpack } from "./debian.js"
import { kept, quietly } from "./store.js"
import { unpacked, type Wheel } from "./wheel.js"

const programs = "usr/lib/wine"
const libraries = "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
const zlib = "usr/x86_64-w64-mingw32/lib/zlib1.dll"

// Microsoft's C++ library. With Wine's own, mongod crashes when several transactions conflict.
const runtime: Wheel = {
  requirement: "msvc-runtime==14.44.35112",
  sha256: "aba7fbe71897d25ed53fbb7f391e9f50289378a8a9ae218ba18530c663448391",
  platform: "win_amd64",
  python: "3.11"
}
const native = ["msvcp140", "msvcp140_1", "msvcp140_2", "msvcp140_atomic_wait", "vcruntime140", "vcruntime140_1"]

/** The folder with Wine, which is fetched first if need be. */
export const installed = (cache: string): Promise<string> =>
  kept(cache, "wine64", async (folder) => {
    const cpp = await unpacked(runtime, cache)
    await unpack(folder, ["wine64", "libwine", "libz-mingw-w64"])
    const log = join(folder, "wine.log")
    const env = environment(folder)
    // In its place is a script that knows Wine only where the system has it.
    rmSync(join(folder, programs, "wineserver"))
    symlinkSync("wineserver64", join(folder, programs, "wineserver"))
    rmSync(join(folder, libraries, "zlib1.dll"), { force: true })
    copyFileSync(join(folder, zlib), join(folder, libraries, "zlib1.dll"))
    mkdirSync(env.WINEPREFIX)
    const system = join(env.WINEPREFIX, "drive_c/windows/system32")
    // It complains of the 32-bit half, which is not there, after it has made all the rest.
    await quietly(join(folder, programs, "wine64"), ["wineboot", "--init"], { env, log }).catch((error) => {
      if (!existsSync(join(system, "kernel32.dll"))) throw error
    })
    await quietly(env.WINESERVER, ["--wait"], { env, log })
    copyFileSync(join(folder, zlib), join(system, "zlib1.dll"))
    for (const name of native) copyFileSync(join(cpp, "Scripts", `${name}.dll`), join(system, `${name}.dll`))
  })

const environment = (folder: string) => ({
  WINEPREFIX: join(folder, "prefix"),
  WINESERVER: join(folder, programs, "wineserver64"),
  WINEDEBUG: "-all",
  WINEDLLOVERRIDES: `mscoree,mshtml=;${native.join(",")}=n,b`
})

/** The lines of a shell script that run a program of Windows. Paths of its arguments are looked up from the root. */
export const script = (folder: string, program: string): string => {
  const variables = Object.entries(environment(folder)).map(([name, value]) => `${name}='${value}'`)
  // Windows has no sockets of Unix to leave out.
  return `export ${variables.join(" ")}
for argument; do
  shift
  [ "$argument" = --nounixsocket ] || set -- "$@" "$argument"
done
cd /
exec '${join(folder, programs, "wine64")}' '${program}' "$@"
`
}
