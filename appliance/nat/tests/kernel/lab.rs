//! A gateway in a network namespace, and a namespace behind each of its links.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use appliance_nat::{End, Program};
use ipnet::IpNet;
use netlink_sys::{Socket as Netlink, SocketAddr as NetlinkAddr, protocols::NETLINK_NETFILTER};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::packet::{Seen, read};

/// How long a packet may take that must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// The gateway with its links.
pub(crate) struct Lab {
    gateway: File,
    sides: BTreeMap<String, Side>,
}

/// What is behind a link.
struct Side {
    /// It stays while somebody holds it.
    _namespace: File,
    send4: Socket,
    send6: Socket,
    seen4: Socket,
    seen6: Socket,
}

impl Lab {
    /// A gateway with these links and addresses of its own, all of which are on the first link.
    pub(crate) fn new(links: &[&str], ours: &[&str]) -> Self {
        let gateway = namespace();
        inside(&gateway, || {
            for (parameter, value) in [
                ("ipv4/ip_forward", "1"),
                ("ipv6/conf/all/forwarding", "1"),
                ("ipv4/conf/all/rp_filter", "0"),
                ("ipv4/conf/default/rp_filter", "0"),
                ("ipv4/conf/default/accept_local", "1"),
                ("ipv4/icmp_ratelimit", "0"),
                ("ipv6/icmp/ratelimit", "0"),
                ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
            ] {
                fs::write(format!("/proc/sys/net/{parameter}"), value).unwrap();
            }
        });
        let mut lab = Self {
            gateway,
            sides: BTreeMap::new(),
        };
        lab.ip("link set lo up");
        for (index, link) in links.iter().enumerate() {
            let side = lab.cable(link, index);
            lab.sides.insert((*link).to_owned(), side);
        }
        for address in ours {
            let family = if address.contains(':') { "-6 " } else { "" };
            lab.ip(&format!("{family}address add {address} dev {} nodad", links[0]));
        }
        lab
    }

    /// Both ends have the same Ethernet address, and nobody is asked for it.
    fn cable(&self, link: &str, index: usize) -> Side {
        let namespace = namespace();
        let mac = format!("02:00:00:00:00:{index:02x}");
        let place = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        self.ip(&format!(
            "link add {link} address {mac} type veth peer name out address {mac} netns {place}\n\
             link set {link} addrgenmode none arp off up"
        ));
        inside(&namespace, || {
            for parameter in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{parameter}"), "0").unwrap();
            }
            ip("link set out addrgenmode none arp off up\n\
                route add default dev out\n\
                -6 address add fd99::1 dev out nodad\n\
                -6 route add default dev out");
            let raw = Some(Protocol::from(255));
            let heard = |kind: u16| {
                let kind = i32::from(kind.to_be());
                let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(kind))).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket.set_recv_buffer_size(4 << 20).unwrap();
                socket
            };
            Side {
                send4: Socket::new(Domain::IPV4, Type::RAW, raw).unwrap(),
                send6: Socket::new(Domain::IPV6, Type::RAW, raw).unwrap(),
                seen4: heard(0x0800),
                seen6: heard(0x86dd),
                _namespace: namespace.try_clone().unwrap(),
            }
        })
    }

    /// Runs `ip` commands in the gateway, a line each.
    pub(crate) fn ip(&self, commands: &str) {
        inside(&self.gateway, || ip(commands));
    }

    /// Runs `nft` in the gateway.
    pub(crate) fn nft(&self, arguments: &[&str], script: &str) -> String {
        inside(&self.gateway, || run("nft", arguments, script))
    }

    /// Puts these routes and this program in place of all that was there, and forgets every flow.
    pub(crate) fn load(&self, routes: &[(IpNet, Option<String>)], program: &Program) {
        let mut commands = "route flush table main\n-6 route flush table main\nroute add default dev lan\n\
                            -6 route add default dev lan\n"
            .to_owned();
        let mut known: Vec<IpNet> = Vec::new();
        for (net, link) in routes {
            let Some(link) = link.as_ref().filter(|_| !known.contains(net)) else {
                continue;
            };
            known.push(*net);
            let family = if net.addr().is_ipv4() { "" } else { "-6 " };
            commands.push_str(&format!("{family}route add {net} dev {link}\n"));
        }
        self.ip(&commands);
        self.apply(program);
        self.forget();
    }

    /// Replaces the program, as a commit does: flows stay.
    pub(crate) fn apply(&self, program: &Program) {
        let removal = "table inet causeway_nat\ndelete table inet causeway_nat\n";
        self.nft(
            &["-f", "-"],
            &(removal.to_owned() + &program.script(&BTreeMap::new())),
        );
    }

    /// The tables that marks lead to. They come before that of our own addresses: a host behind a tunnel may have one of these.
    pub(crate) fn tables(&self, tables: impl Iterator<Item = (u32, String)>) {
        for family in ["", "-6 "] {
            self.ip(&format!(
                "{family}rule add pref 20 lookup local\n{family}rule delete pref 0"
            ));
        }
        for (mark, link) in tables {
            for family in ["", "-6 "] {
                self.ip(&format!(
                    "{family}rule add pref 10 fwmark {mark:#x} lookup {mark}\n\
                     {family}route add default dev {link} table {mark}\n\
                     {family}route add unreachable default metric 4294967295 table {mark}"
                ));
            }
        }
    }

    /// Removes every flow from connection tracking (IPCTNL_MSG_CT_DELETE without a tuple).
    fn forget(&self) {
        let mut message = Vec::new();
        message.extend(20_u32.to_ne_bytes());
        message.extend(0x0102_u16.to_ne_bytes());
        // A request that is to be acknowledged.
        message.extend(5_u16.to_ne_bytes());
        message.extend([0; 12]);
        inside(&self.gateway, || {
            let socket = Netlink::new(NETLINK_NETFILTER).unwrap();
            socket.send_to(&message, &NetlinkAddr::new(0, 0), 0).unwrap();
            let (answer, _) = socket.recv_from_full().unwrap();
            assert_eq!(answer[16..20], [0; 4], "flushing connection tracking");
        });
    }

    /// Sends a packet from behind a link.
    pub(crate) fn send(&self, link: &str, bytes: &[u8]) {
        let side = &self.sides[link];
        let to: IpAddr = if bytes[0] >> 4 == 4 {
            <[u8; 4]>::try_from(&bytes[16..20]).unwrap().into()
        } else {
            <[u8; 16]>::try_from(&bytes[24..40]).unwrap().into()
        };
        let socket = if to.is_ipv4() { &side.send4 } else { &side.send6 };
        let to = SockAddr::from(SocketAddr::new(to, 0));
        socket.send_to(bytes, &to).unwrap();
    }

    /// The next packet that comes out of a link; `None` if there is none in time.
    pub(crate) fn next(&self, link: &str) -> Option<Seen> {
        let side = &self.sides[link];
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(seen) = side.waiting() {
                return Some(seen);
            }
            let mut sockets =
                [&side.seen4, &side.seen6].map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            poll(&mut sockets, PollTimeout::from(100_u8)).unwrap();
        }
        None
    }

    /// The next packets of IPv4 that come out of a link, as bytes.
    pub(crate) fn pieces(&self, link: &str, count: usize) -> Vec<Vec<u8>> {
        let mut socket: &Socket = &self.sides[link].seen4;
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 9000];
        let mut piece = || {
            let length = socket.read(&mut bytes).unwrap();
            bytes[..length].to_vec()
        };
        let pieces = (0..count).map(|_| piece()).collect();
        socket.set_nonblocking(true).unwrap();
        pieces
    }

    /// All that has come out of any link.
    pub(crate) fn others(&self) -> Vec<(String, Seen)> {
        let mut found = Vec::new();
        for (link, side) in &self.sides {
            while let Some(seen) = side.waiting() {
                found.push((link.clone(), seen));
            }
        }
        found
    }

    /// A socket of the gateway itself.
    pub(crate) fn socket(&self, end: End) -> UdpSocket {
        inside(&self.gateway, || {
            let socket = UdpSocket::bind((end.address, end.port.unwrap()))
                .unwrap_or_else(|error| panic!("{end:?}: {error}"));
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        })
    }
}

impl Side {
    fn waiting(&self) -> Option<Seen> {
        let mut bytes = [0; 9000];
        for socket in [&self.seen4, &self.seen6] {
            loop {
                let mut reader: &Socket = socket;
                match reader.read(&mut bytes) {
                    Ok(length) => {
                        if let Some(seen) = read(&bytes[..length]) {
                            return Some(seen);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        None
    }
}

fn namespace() -> File {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    made.join().unwrap()
}

/// Does something on a thread inside a namespace.
fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        worker.join().unwrap()
    })
}

/// Commands that begin with `-6` come last.
fn ip(commands: &str) {
    let (sixth, other): (Vec<&str>, Vec<&str>) = commands
        .lines()
        .map(str::trim)
        .partition(|line| line.starts_with("-6 "));
    let sixth: Vec<&str> = sixth.iter().map(|line| line.trim_start_matches("-6 ")).collect();
    for (option, lines) in [("-4", other), ("-6", sixth)] {
        if !lines.is_empty() {
            run("ip", &[option, "-batch", "-"], &lines.join("\n"));
        }
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}\n{input}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
