use std::ops::RangeInclusive;

use crate::Reason;
use crate::reader::Value;

/// What an autonomous system number may be (RFC 6793).
pub(crate) const ASNS: RangeInclusive<u64> = 1..=4_294_967_295;
/// What Azure VPN Gateway calls itself where nobody says otherwise.
pub(crate) const AZURE_GATEWAY: u32 = 65_515;
/// Nobody's to use, with who says so. [`AZURE_GATEWAY`] is not among them: a site may be Azure, and we may stand in its place.
const RESERVED: &[(RangeInclusive<u32>, &str)] = &[
    (8074..=8075, "Azure"),
    (12_076..=12_076, "Azure"),
    (65_517..=65_520, "Azure"),
    (23_456..=23_456, "IANA"),
    (64_496..=64_511, "IANA"),
    (65_535..=65_551, "IANA"),
    (429_496_729..=429_496_729, "Azure, as IANA's"),
    (4_294_967_295..=4_294_967_295, "IANA"),
];

/// The number of an autonomous system that is somebody's.
pub(super) fn asn(value: &Value<'_>) -> Option<u32> {
    let asn: u32 = value.whole(ASNS)?;
    let reserved = RESERVED.iter().find(|(numbers, _)| numbers.contains(&asn));
    if let Some((numbers, by)) = reserved {
        let (first, last) = (numbers.start(), numbers.end());
        let all = if first == last {
            String::new()
        } else {
            format!(" with all of {first} to {last}")
        };
        let detail = format!(
            "{asn} is reserved by {by}{all}; free for private use are 64512 to 64514 and 65521 to 65534"
        );
        value.problem(Reason::AsnReserved, detail);
        return None;
    }
    Some(asn)
}
