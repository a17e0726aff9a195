//! Which process holds a UDP port, from `/proc`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Who keeps `address` from being bound, such as `causewayd (pid 123)`, or why that cannot be told.
pub(crate) fn of_udp(address: SocketAddr) -> String {
    let table = if address.is_ipv4() {
        "/proc/self/net/udp"
    } else {
        "/proc/self/net/udp6"
    };
    let inode = match fs::read_to_string(table) {
        Ok(table) => table
            .lines()
            .skip(1)
            .filter_map(entry)
            .find(|(bound, _)| in_the_way(*bound, address)),
        Err(error) => return format!("another process ({table} cannot be read: {error})"),
    };
    match inode {
        Some((_, inode)) => process_with(inode).unwrap_or_else(|| {
            "another process (not visible in /proc: of another PID namespace, or CAP_SYS_PTRACE is missing)".to_owned()
        }),
        None => "another process (gone meanwhile)".to_owned(),
    }
}

/// Local address and inode of one line of the table.
fn entry(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let inode = fields.nth(7)?.parse().ok()?;
    Some((SocketAddr::new(ip(address)?, port), inode))
}

/// The kernel prints each 32-bit word of an address in the order of the host.
fn ip(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = hex
        .as_bytes()
        .chunks(8)
        .map(|word| {
            Some(
                u32::from_str_radix(std::str::from_utf8(word).ok()?, 16)
                    .ok()?
                    .to_ne_bytes(),
            )
        })
        .collect();
    match *words? {
        [word] => Some(Ipv4Addr::from(word).into()),
        [a, b, c, d] => <[u8; 16]>::try_from([a, b, c, d].concat())
            .ok()
            .map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn in_the_way(bound: SocketAddr, wanted: SocketAddr) -> bool {
    bound.port() == wanted.port() && (bound.ip() == wanted.ip() || bound.ip().is_unspecified())
}

fn process_with(inode: u64) -> Option<String> {
    let target = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let holder = processes
        .map(|entry| entry.path())
        .find(|process| holds(process, &target))?;
    let name = fs::read_to_string(holder.join("comm")).unwrap_or_default();
    Some(format!(
        "{} (pid {})",
        name.trim_end(),
        holder.file_name()?.to_str()?
    ))
}

fn holds(process: &Path, target: &str) -> bool {
    let is_process = process
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.parse::<u32>().is_ok());
    is_process
        && fs::read_dir(process.join("fd")).is_ok_and(|descriptors| {
            descriptors
                .flatten()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == target))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_yields_address_and_inode() {
        let line = "  78: 010200C0:01F4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0";
        assert_eq!(entry(line), Some(("192.0.2.1:500".parse().unwrap(), 4711)));
        let header = "   sl  local_address rem_address   st tx_queue rx_queue";
        assert_eq!(entry(header), None);
    }

    #[test]
    fn an_ipv6_address_is_read() {
        assert_eq!(
            ip("B80D0120000000000000000001000000"),
            Some("2001:db8::1".parse().unwrap())
        );
    }

    #[test]
    fn a_wildcard_is_in_the_way_and_another_address_is_not() {
        let wanted = "192.0.2.1:500".parse().unwrap();
        assert!(in_the_way("0.0.0.0:500".parse().unwrap(), wanted));
        assert!(!in_the_way("192.0.2.2:500".parse().unwrap(), wanted));
        assert!(!in_the_way("192.0.2.1:4500".parse().unwrap(), wanted));
    }
}
