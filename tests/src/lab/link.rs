//! Virtual cables between namespaces.

use anyhow::Result;

use super::namespace::Namespace;

/// One end of a cable: a link in a namespace, and its address with prefix length.
pub struct End<'a> {
    /// Where the link is.
    pub namespace: &'a Namespace,
    /// What it is called there.
    pub link: &'a str,
    /// For example `192.0.2.1/24`.
    pub address: &'a str,
}

/// Joins two namespaces by a cable and puts both ends up.
///
/// # Errors
/// What `ip` says.
pub fn connect(one: &End<'_>, other: &End<'_>) -> Result<()> {
    let cable = format!(
        "link add {} type veth peer name {} netns {}",
        one.link,
        other.link,
        other.namespace.name()
    );
    one.namespace.ip(&[&cable])?;
    for end in [one, other] {
        let address = format!("address add {} dev {}", end.address, end.link);
        let up = format!("link set {} up", end.link);
        end.namespace.ip(&[&address, &up])?;
    }
    Ok(())
}
