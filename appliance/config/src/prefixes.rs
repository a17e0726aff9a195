use ipnet::IpNet;

/// Prefixes of which none lies in another, in order, so that what overlaps one of them is found by halving.
#[derive(Default)]
pub(crate) struct Prefixes(Vec<IpNet>);

impl Prefixes {
    pub(crate) fn of(nets: &[IpNet]) -> Self {
        let mut sorted = nets.to_vec();
        sorted.sort_unstable();
        let mut outermost: Vec<IpNet> = Vec::new();
        for net in sorted {
            if !outermost.last().is_some_and(|last| last.contains(&net)) {
                outermost.push(net);
            }
        }
        Self(outermost)
    }

    /// What these have in common with `net`.
    pub(crate) fn common(&self, net: &IpNet) -> impl Iterator<Item = IpNet> {
        let from = self.0.partition_point(|one| one <= net);
        let before = from.checked_sub(1).and_then(|index| self.0.get(index));
        let around = before.filter(|one| one.contains(net)).map(|_| *net);
        let inside = self
            .0
            .iter()
            .skip(from)
            .take_while(|one| net.contains(*one))
            .copied();
        around.into_iter().chain(inside.collect::<Vec<_>>())
    }

    /// Whether these have an address in common with `net`.
    pub(crate) fn overlap(&self, net: &IpNet) -> bool {
        self.common(net).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_common_is_found_whichever_is_wider() {
        let nets = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.168.1.0/24",
            "192.168.3.0/24",
            "fd00::/8",
        ];
        let prefixes = Prefixes::of(&nets.map(|net| net.parse().unwrap()));
        let common = |net: &str| {
            let found: Vec<String> = prefixes
                .common(&net.parse().unwrap())
                .map(|net| net.to_string())
                .collect();
            found.join(" ")
        };
        assert_eq!(common("10.1.2.0/24"), "10.1.2.0/24");
        assert_eq!(common("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(common("192.168.0.0/16"), "192.168.1.0/24 192.168.3.0/24");
        assert_eq!(common("192.168.2.0/24"), "");
        assert_eq!(common("0.0.0.0/0"), "10.0.0.0/8 192.168.1.0/24 192.168.3.0/24");
        assert_eq!(common("::/0"), "fd00::/8");
        assert_eq!(common("9.255.0.0/16"), "");
        assert_eq!(Prefixes::default().common(&"::/0".parse().unwrap()).count(), 0);
    }
}
