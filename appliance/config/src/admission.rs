use std::net::IpAddr;

use crate::ValidConfig;
use crate::model::InterfaceRole;

impl ValidConfig {
    /// Whether API and console may be reached from `remote`, whose packets come over this interface of the document. Where
    /// `allow_from` names no prefix, that is from anywhere over interfaces of role lan or management; and just from
    /// anywhere, where the document has no interfaces. The machine may reach itself.
    pub fn admits(&self, remote: IpAddr, interface: Option<&str>) -> bool {
        let remote = remote.to_canonical();
        let allowed = &self.system.management.allow_from;
        if remote.is_loopback() || (allowed.is_empty() && self.interfaces.is_empty()) {
            return true;
        }
        if !allowed.is_empty() {
            return allowed.iter().any(|prefix| prefix.contains(&remote));
        }
        let interface = interface.and_then(|name| self.interfaces.get(name));
        interface.is_some_and(|interface| match interface.role {
            InterfaceRole::Lan | InterfaceRole::Management => true,
            InterfaceRole::Wan => false,
        })
    }
}
