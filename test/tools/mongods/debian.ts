// Packages of Debian, unpacked into a folder: with lists, a cache and settings of their own, so that the system is untouched.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { quietly, Unavailable } from "./store.js"

const sourcesFolder = "/etc/apt/sources.list.d"

/** Unpacks packages into a folder: of the release that the machine has, or of another one. */
export const unpack = async (folder: string, packages: ReadonlyArray<string>, release?: string): Promise<void> => {
  const own = join(folder, "apt")
  const log = join(folder, "apt.log")
  for (const part of ["sources", "lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(own, part), { recursive: true })
  }
  for (const [name, text] of sourcesOf(ownRelease(), release)) writeFileSync(join(own, "sources", name), text)
  writeFileSync(join(own, "apt.conf"), settings(own))
  const apt = (...args: ReadonlyArray<string>) =>
    quietly("apt-get", ["-c", join(own, "apt.conf"), ...args], { cwd: own, log })
  await apt("update")
  await apt("download", ...packages)
  for (const file of readdirSync(own).filter((name) => name.endsWith(".deb"))) {
    await quietly("dpkg-deb", ["-x", join(own, file), folder], { log })
  }
  rmSync(own, { recursive: true })
}

// The name by which the machine's sources call their release, if it is one of Debian.
const ownRelease = (): string => {
  const about = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : ""
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)`, "m").exec(about)?.[1] ?? ""
  if (field("ID") !== "debian") {
    throw new Unavailable(`it needs packages of Debian, and this is ${field("PRETTY_NAME") || process.platform}`)
  }
  return field("VERSION_CODENAME")
}

/** The machine's own sources of packages, with another release in the place of its own. */
const sourcesOf = (own: string, release = own): ReadonlyArray<readonly [name: string, text: string]> => {
  const listed = existsSync(sourcesFolder) ? readdirSync(sourcesFolder).map((name) => join(sourcesFolder, name)) : []
  return ["/etc/apt/sources.list", ...listed]
    .filter((file) => /\.(list|sources)$/.test(file) && existsSync(file))
    .map((file) => [basename(file), readFileSync(file, "utf8").replaceAll(own, release)] as const)
}

// What the system wants done after an update would tidy up its own cache.
const settings = (own: string): string =>
  `Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "${own}/sources";
Dir::State::lists "${own}/lists";
Dir::Cache "${own}/cache";
APT::Sandbox::User "root";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
`
