//! Network namespaces that a bridge connects. The link of each namespace can be cut.
//!
//! ```text
//!   namespace of this program:      bridge 10.77.0.1
//!                                  ╱       │        ╲
//!                            link0      link1      link2
//!                              │          │          │
//!   members:               10.77.1.0  10.77.1.1  10.77.1.2
//! ```
//!
//! Nothing has a name on the machine. A namespace lives as long as its processes, so all of this
//! vanishes with this program. It needs `ip` of iproute2, `unshare` and `nsenter`, and the right to
//! make namespaces.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

/// Says that this process runs in a namespace of its own already.
const INSIDE: &str = "REORDER_NETWORK_NAMESPACE";
/// Makes the kinds of devices that a network has.
const PROBE: &str =
    "ip link add reorder0 type bridge && ip link add link0 type veth peer name eth0";

/// Starts this program again in a network namespace of its own, unless it is in one already.
/// Returns a reason if the machine does not allow that.
pub(super) fn enter() -> anyhow::Result<Option<String>> {
    if env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    let mut refused = String::new();
    // A user without rights has them in a user namespace, if the machine allows that.
    for kind in [&["--net"][..], &["--net", "--user", "--map-root-user"]] {
        let probe = Command::new("unshare").args(kind).args(["--", "sh", "-c", PROBE]).output();
        match probe {
            Ok(probe) if probe.status.success() => {
                let mut inside = Command::new("unshare");
                inside.args(kind).arg("--").arg(env::current_exe()?).args(env::args_os().skip(1));
                return Err(replace_with(inside.env(INSIDE, "1")).into());
            }
            Ok(probe) => refused = String::from_utf8_lossy(&probe.stderr).trim().to_owned(),
            Err(error) => refused = format!("unshare: {error}"),
        }
    }
    Ok(Some(refused))
}

/// Makes this process another program. It returns after an error only.
#[cfg(unix)]
fn replace_with(command: &mut Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn replace_with(_: &mut Command) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// The members, each in a namespace of its own. This process is at the bridge.
pub(super) struct Network {
    members: Vec<Child>,
}

/// The place where a process runs.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// A process of the namespace, or `None` on the machine itself.
    holder: Option<u32>,
    pub(super) address: Ipv4Addr,
}

impl Network {
    pub(super) fn new(count: usize) -> anyhow::Result<Network> {
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", "reorder0", "type", "bridge"])?;
        ip(&["address", "add", "10.77.0.1/16", "dev", "reorder0"])?;
        ip(&["link", "set", "reorder0", "up"])?;
        let mut network = Network { members: Vec::new() };
        for index in 0..count {
            // It ends with its standard input, so also if this process is killed.
            let mut unshare = Command::new("unshare");
            unshare.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            network.members.push(unshare.spawn().context("unshare")?);
            network.connect(index)?;
        }
        Ok(network)
    }

    fn connect(&mut self, index: usize) -> anyhow::Result<()> {
        let member = &mut self.members[index];
        // The echo of a byte proves that the process is in its namespace.
        let (input, output) = (member.stdin.as_mut(), member.stdout.as_mut());
        let (input, output) = input.zip(output).context("a namespace has no pipes")?;
        input.write_all(b"x")?;
        output.read_exact(&mut [0]).context("a namespace cannot be made")?;
        let (id, link) = (member.id().to_string(), link(index));
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &id])?;
        ip(&["link", "set", &link, "master", "reorder0", "up"])?;
        let place = self.place(index);
        let address = format!("{}/16", place.address);
        for arguments in [
            &["address", "add", &address, "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
            &["link", "set", "lo", "up"],
        ] {
            run(place.command(Path::new("ip")).args(arguments))?;
        }
        Ok(())
    }

    pub(super) fn place(&self, index: usize) -> Place {
        let address = Ipv4Addr::new(10, 77, 1, index as u8);
        Place { holder: Some(self.members[index].id()), address }
    }

    /// Takes the link of a member down, or up again. Messages on their way are lost.
    pub(super) fn set_link(&self, index: usize, is_up: bool) -> anyhow::Result<()> {
        ip(&["link", "set", &link(index), if is_up { "up" } else { "down" }])
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It fails if the process has ended.
            _ = member.kill();
            _ = member.wait();
        }
    }
}

impl Place {
    /// The machine itself, where all processes are on loopback.
    pub(super) const LOOPBACK: Place = Place { holder: None, address: Ipv4Addr::LOCALHOST };

    /// Returns a command that runs a program there.
    pub(super) fn command(&self, program: &Path) -> Command {
        let Some(holder) = self.holder else { return Command::new(program) };
        // It becomes the program, so signals reach the program.
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--net=/proc/{holder}/ns/net")).arg("--").arg(program);
        enter
    }
}

fn link(index: usize) -> String {
    format!("link{index}")
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
