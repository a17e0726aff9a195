use std::fmt;
use std::str::FromStr;

use super::Name;
use crate::Reason;
use crate::reader::Value;

/// Which device an interface is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The one that is called as the interface is in the document.
    SameName,
    /// The one that is called so.
    Named(String),
    /// The one that has this address.
    Mac(MacAddress),
    /// One that is made, with the name of the interface (IEEE 802.1Q).
    Vlan {
        /// The interface whose frames are tagged.
        parent: Name,
        /// The tag, 1 to 4094.
        id: u16,
    },
}

/// The MAC address of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

/// The longest name of a device (`IFNAMSIZ` without its final zero).
const LONGEST: usize = 15;
/// What the names of the links of tunnels begin with.
const TUNNELS: &str = "cw-";

impl MacAddress {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let parsed = text.parse();
        if parsed.is_err() {
            let detail = "expected the MAC address of one device such as 52:54:00:00:00:01";
            return value.wrong(Reason::InvalidMacAddress, text, detail);
        }
        parsed.ok()
    }
}

impl FromStr for MacAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let digits = parts.next().filter(|digits| digits.len() == 2).ok_or(())?;
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            *octet = u8::from_str_radix(digits, 16).ok().filter(|_| plain).ok_or(())?;
        }
        let [first, ..] = octets;
        let one_device = first & 1 == 0 && octets != [0; 6];
        if parts.next().is_none() && one_device {
            Ok(Self(octets))
        } else {
            Err(())
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.0.map(|octet| format!("{octet:02x}"));
        f.write_str(&octets.join(":"))
    }
}

/// The name of a device that is not a tunnel's.
pub(super) fn device_name(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    match check_device_name(text) {
        Ok(()) => Some(text.to_owned()),
        Err(fault) => value.wrong(Reason::InvalidDeviceName, text, fault),
    }
}

/// Whether a device can have this name, and not one that is ours or the machine's own.
pub(crate) fn check_device_name(text: &str) -> Result<(), &'static str> {
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    if !(1..=LONGEST).contains(&text.len()) || !text.bytes().all(sound) || matches!(text, "." | "..") {
        return Err(
            "a device has a name of 1 to 15 characters without spaces, / and :; \"match\" can say which it is",
        );
    }
    if text.starts_with(TUNNELS) {
        return Err("names that begin with cw- are those of tunnels");
    }
    if text == "lo" {
        return Err("lo is the machine's own");
    }
    Ok(())
}
