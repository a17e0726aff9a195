//! Choosing combinations.

use std::collections::BTreeSet;

/// Two dimensions, each with a value: dimension, value, dimension, value.
type Pair = [usize; 4];

/// Every combination of one value per dimension; `sizes` says how many values each dimension has.
pub fn product(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |combinations, size| {
        let longer = combinations.iter().flat_map(|combination: &Vec<usize>| {
            (0..*size).map(|value| combination.iter().copied().chain([value]).collect())
        });
        longer.collect()
    })
}

/// A few combinations in which each value of a dimension meets each value of every other dimension at least once.
/// The same sizes always give the same combinations.
pub fn pairs(sizes: &[usize]) -> Vec<Vec<usize>> {
    let all = product(sizes);
    let mut missing: BTreeSet<Pair> = all.iter().flat_map(|combination| pairs_of(combination)).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let gain = |combination: &&Vec<usize>| {
            pairs_of(combination)
                .filter(|pair| missing.contains(pair))
                .count()
        };
        let Some(best) = all.iter().max_by_key(gain) else {
            break;
        };
        for pair in pairs_of(best) {
            missing.remove(&pair);
        }
        chosen.push(best.clone());
    }
    chosen
}

fn pairs_of(combination: &[usize]) -> impl Iterator<Item = Pair> {
    let values = combination.iter().enumerate();
    values.flat_map(move |(one, value)| {
        let others = combination.iter().enumerate().skip(one + 1);
        others.map(move |(other, with)| [one, *value, other, *with])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_meets_each_other_in_few_combinations() {
        let sizes = [3, 3, 3, 3, 4];
        let chosen = pairs(&sizes);
        for (one, count) in sizes.iter().enumerate() {
            for (other, others) in sizes.iter().enumerate().skip(one + 1) {
                for (value, with) in (0..*count).flat_map(|value| (0..*others).map(move |with| (value, with)))
                {
                    let met = chosen
                        .iter()
                        .any(|cell| cell[one] == value && cell[other] == with);
                    assert!(met, "{one}={value} never meets {other}={with}");
                }
            }
        }
        assert!((12..=18).contains(&chosen.len()), "{}", chosen.len());
        assert_eq!(chosen, pairs(&sizes));
    }

    #[test]
    fn a_single_value_is_no_dimension() {
        assert_eq!(pairs(&[2, 1]), [[1, 0], [0, 0]]);
        assert_eq!(product(&[2, 3]).len(), 6);
    }
}
