use ipnet::IpNet;

/// Pieces of prefixes, none of which has an address of another, each with what the longest prefix around it stands for; of
/// equal ones the first counts.
pub(crate) fn longest<T: Clone>(prefixes: Vec<(IpNet, T)>) -> Vec<(IpNet, T)> {
    let mut ordered = prefixes;
    // A shorter prefix comes before those inside it, so that what is inside is a run behind it.
    ordered.sort_by_key(|(net, _)| (net.network(), net.prefix_len()));
    ordered.dedup_by(|later, first| later.0 == first.0);
    let mut pieces = Vec::new();
    for (index, (net, value)) in ordered.iter().enumerate() {
        let behind = ordered.iter().skip(index + 1).map(|(inner, _)| *inner);
        let inside: Vec<IpNet> = behind.take_while(|inner| net.contains(inner)).collect();
        let left = without(*net, &inside);
        pieces.extend(left.into_iter().map(|piece| (piece, value.clone())));
    }
    pieces
}

/// What is left of `prefix` without those inside it.
fn without(prefix: IpNet, inside: &[IpNet]) -> Vec<IpNet> {
    if inside.is_empty() {
        return vec![prefix];
    }
    if inside.contains(&prefix) {
        return Vec::new();
    }
    let Ok(halves) = prefix.subnets(prefix.prefix_len() + 1) else {
        return vec![prefix];
    };
    halves
        .flat_map(|half| {
            let inside: Vec<IpNet> = inside.iter().copied().filter(|net| half.contains(net)).collect();
            without(half, &inside)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts_and_the_rest_is_cut_around_it() {
        let of = |text: &str| text.parse::<IpNet>().unwrap();
        let pieces = longest(vec![
            (of("10.0.0.0/22"), 'a'),
            (of("10.0.1.0/24"), 'b'),
            (of("10.0.1.7/32"), 'c'),
            (of("fd00::/64"), 'd'),
        ]);
        let covering = |text: &str| {
            let found: Vec<char> = pieces
                .iter()
                .filter(|(net, _)| net.contains(&text.parse::<std::net::IpAddr>().unwrap()))
                .map(|(_, value)| *value)
                .collect();
            found.into_iter().collect::<String>()
        };
        assert_eq!(covering("10.0.0.9"), "a");
        assert_eq!(covering("10.0.3.255"), "a");
        assert_eq!(covering("10.0.1.6"), "b");
        assert_eq!(covering("10.0.1.7"), "c");
        assert_eq!(covering("10.0.4.0"), "");
        assert_eq!(covering("fd00::1"), "d");
        assert_eq!(pieces.len(), 2 + 8 + 1 + 1);
    }
}
