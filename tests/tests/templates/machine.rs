//! A machine to try files on: namespaces for processes, network and mounts, and overlays, so that
//! nothing of it is seen outside and everything of it ends with the test.

use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use jitsi_templates::OwnedFile;
use nix::sched::{CloneFlags, setns};

/// How long a server may take to open its port.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Pid 1 of the machine: own lower layers, a tmpfs above them, a network of only loopback.
const INIT: &str = r"
set -e
ip link set lo up
mount -t tmpfs none /mnt
for dir in etc usr var; do
    mkdir -p /mnt/$dir /mnt/.work/$dir
    mount -t overlay -o lowerdir=/$dir,upperdir=/mnt/$dir,workdir=/mnt/.work/$dir none /$dir
done
mount -t tmpfs none /run
getent group jitsi > /dev/null || groupadd jitsi
for user in jicofo jvb; do id $user > /dev/null 2>&1 || useradd -r -g jitsi $user; done
echo ready
exec sleep infinity
";

/// The machine; it ends when this is dropped.
pub(crate) struct Machine {
    unshare: Child,
    init: u32,
    servers: Vec<Child>,
}

impl Machine {
    /// A machine with `files` on it, symbolic links included.
    pub(crate) fn new(files: &[OwnedFile]) -> Self {
        let flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let mut unshare = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", INIT])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(unshare.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the machine did not start");
        let pid = unshare.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let machine = Self { unshare, init: children.trim().parse().unwrap(), servers: Vec::new() };
        for file in files {
            machine.put(&file.path, &file.contents, file.owner, file.group, file.mode);
            if let Some(link) = &file.link {
                machine.ok("mkdir", &["-p", link.parent().unwrap().to_str().unwrap()]);
                let target = file.path.to_str().unwrap();
                machine.ok("ln", &["-sf", target, link.to_str().unwrap()]);
            }
        }
        machine
    }

    /// Writes one file.
    pub(crate) fn put(&self, path: &Path, text: &str, owner: &str, group: &str, mode: u32) {
        let mode = format!("{mode:o}");
        let mut install = self
            .command("install")
            .args(["-D", "-o", owner, "-g", group, "-m", &mode, "/dev/stdin"])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(install.wait().unwrap().success(), "writing {}", path.display());
    }

    /// A command that runs on the machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--mount", "--net", "--pid", "--"]);
        command.arg(program);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; gives what it printed.
    pub(crate) fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{text}", output.status);
        text
    }

    /// Starts a server and waits for its port.
    pub(crate) fn serve(&mut self, program: &str, arguments: &[&str], port: u16) {
        let mut server =
            self.command(program).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while server.try_wait().unwrap().is_none() && start.elapsed() < START_LIMIT {
            if self.try_connect(port).is_some() {
                self.servers.push(server);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = server.kill();
        panic!("{program}: {:?}, and port {port} is not open", server.wait());
    }

    /// A connection to the machine's own loopback.
    pub(crate) fn connect(&self, port: u16) -> TcpStream {
        self.try_connect(port).unwrap_or_else(|| panic!("nothing listens on {port}"))
    }

    /// A listener on the machine's own loopback.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        self.inside(move || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    /// A listener on a socket in the machine's file system that everybody may open.
    pub(crate) fn listen_at(&self, path: &str) -> UnixListener {
        self.ok("mkdir", &["-p", Path::new(path).parent().unwrap().to_str().unwrap()]);
        let path = format!("/proc/{}/root{path}", self.init);
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        listener
    }

    fn try_connect(&self, port: u16) -> Option<TcpStream> {
        let stream = self.inside(move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())?;
        stream.set_read_timeout(Some(START_LIMIT)).unwrap();
        Some(stream)
    }

    /// Runs `f` on a thread that is in the machine's network. A socket stays where it was made.
    pub(crate) fn inside<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.init)).unwrap();
        std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).unwrap();
            f()
        })
        .join()
        .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // `--kill-child` takes the machine's pid 1 along, and the kernel all of its processes.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        for server in &mut self.servers {
            let _ = server.wait();
        }
    }
}
