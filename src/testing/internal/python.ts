/**
 * The Python programs that this library runs in processes of their own. Both end, with all they started, when their
 * standard input is closed: so they end also when this process is killed.
 */

/** Says what a Python is and whether it can make virtual environments. */
export const describe = `
import sys
print("version %d.%d.%d" % sys.version_info[:3])
try:
    import ensurepip, venv
except ImportError as problem:
    print("lacks %s" % problem.name)
`

/** Arguments: folder, requirement, module. Makes a virtual environment, installs into it, and imports the module. */
export const install = `
import os, shutil, signal, subprocess, sys, threading, time

folder, requirement, module = sys.argv[1:]
left_alone = threading.Event()

def follow_parent():
    while os.read(0, 4096):
        pass
    left_alone.set()
    if os.name == "posix":
        os.killpg(0, signal.SIGTERM)
        time.sleep(0.3)
    shutil.rmtree(folder, ignore_errors=True)
    if os.name == "posix":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)

# a handler, unlike being ignored, is not inherited by the programs that are to end
signal.signal(signal.SIGTERM, lambda *_: None)
threading.Thread(target=follow_parent, daemon=True).start()

def make():
    print("making a virtual environment", flush=True)
    import venv
    venv.EnvBuilder(with_pip=True, symlinks=os.name == "posix").create(folder)
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    pip = [python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    only_built = ["--prefer-binary", "--only-binary", requirement.split("==")[0]]
    code = subprocess.call(pip + only_built + [requirement], stdin=subprocess.DEVNULL)
    return code or subprocess.call([python, "-I", "-c", "import " + module], stdin=subprocess.DEVNULL)

try:
    code = make()
finally:
    # the thread is not done yet, and would end with this one
    if left_alone.is_set():
        time.sleep(60)
sys.exit(code)
`

/**
 * Arguments: the server's home folder, `kill` or `wait` (whether the server's data matter), then the server's own.
 *
 * Two processes, so that the home folder is removed however the server ends, unless `keep` was read before the end of
 * the standard input.
 */
export const serve = `
import os, shutil, signal, subprocess, sys, threading

home, manner, arguments = sys.argv[1], sys.argv[2], sys.argv[3:]

server_program = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
del sys.argv[1]
from secantus.cli import main
sys.exit(main())
"""

os.makedirs(home, mode=0o700, exist_ok=True)
os.chdir(home)
# an empty file keeps the server from looking for a configuration elsewhere
open("secantusd.toml", "w").close()
command = [sys.executable, "-I", "-c", server_program, str(os.getpid()), "--config", "secantusd.toml"]
server = subprocess.Popen(command + arguments, stdin=subprocess.DEVNULL)
keep = False

def stop():
    if manner == "wait":
        server.terminate()
        try:
            server.wait(8)
        except subprocess.TimeoutExpired:
            pass
    server.kill()

def follow_parent():
    global keep
    while True:
        words = os.read(0, 4096)
        keep = keep or b"keep" in words
        if not words:
            return stop()

for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), lambda *_: threading.Thread(target=stop, daemon=True).start())
threading.Thread(target=follow_parent, daemon=True).start()
code = server.wait()
if not keep:
    os.chdir(os.path.dirname(home))
    shutil.rmtree(home, ignore_errors=True)
sys.exit(code if code >= 0 else 1)
`
