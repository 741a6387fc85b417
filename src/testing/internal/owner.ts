/**
 * Names the process that a file or folder belongs to, so that another process can tell whether the owner is gone.
 */
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"

/**
 * Where process numbers mean what they mean to this process: the machine since it was started and, on Linux, the namespace.
 * Containers and machines may share a folder, and each of them counts its processes itself.
 */
export const namespace = (): string => known ??= find()

// Asked for once: a machine may get another name while this process lives.
let known: string | undefined

const find = (): string => {
  try {
    const boot = FileSystem.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    return `${boot} ${FileSystem.readlinkSync("/proc/self/ns/pid")}`
  } catch {
    // the system has no namespaces
    return OperatingSystem.hostname()
  }
}

/** The name of a process of this namespace. */
export const nameOf = (pid: number): string => `${pid} ${namespace()}`

/** The number in a name; `NaN` if there is none. */
export const numberIn = (name: string): number => Number.parseInt(name, 10)

/** Whether a name is that of this process. */
export const isSelf = (name: string): boolean => name.trim() === nameOf(process.pid)

/** Whether the process of a name is gone for certain. Nobody here knows that of a process of another namespace. */
export const isGone = (name: string): boolean => {
  const pid = numberIn(name)
  return pid > 0 && name.trim() === nameOf(pid) && !isAlive(pid)
}

/** Whether a process of this namespace lives. One that is dead and not yet waited for, as containers leave some, does not. */
export const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0) && !isZombie(pid)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

const isZombie = (pid: number): boolean => {
  try {
    return /^\d+ \(.*\) Z/s.test(FileSystem.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    // the system tells no state
    return false
  }
}
