//! The exact distribution of the two-sample statistic.

/// The probability that the statistic of samples of `n` and `m` values is at least `numerator / (n·m)`.
///
/// Every order of the joint sample is equally likely, and is a path over a grid of `n` by `m` steps. The probability that
/// a path has ever been so far from the diagonal follows cell by cell from the two cells before (Hodges 1958, "The
/// significance probability of the Smirnov two-sample test"). All terms are positive, so that small probabilities keep
/// their digits. Takes `n·m` steps.
pub(super) fn survival(n: u64, m: u64, numerator: u128) -> f64 {
    if numerator == 0 {
        return 1.0;
    }
    let is_outside =
        |i: u64, j: u64| (u128::from(i) * u128::from(m)).abs_diff(u128::from(j) * u128::from(n)) >= numerator;
    let mut outside: Vec<f64> = Vec::new();
    for i in 0..=n {
        for (j, at) in (0..=m).zip(0..) {
            let (before_i, before_j) = (outside.get(at).copied(), at.checked_sub(1).map(|at| outside[at]));
            let probability = if is_outside(i, j) {
                1.0
            } else {
                let step = |before: Option<f64>, steps: u64| before.map_or(0.0, |p| p * steps as f64);
                let last_i = if i > 0 { step(before_i, i) } else { 0.0 };
                (last_i + step(before_j, j)) / ((i + j).max(1) as f64)
            };
            if i == 0 { outside.push(probability) } else { outside[at] = probability }
        }
    }
    outside.last().map_or(1.0, |p| p.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_can_be_counted_by_hand() {
        // Two values a side: of the six orders, AABB and BBAA are one apart.
        assert!((survival(2, 2, 4) - 2.0 / 6.0).abs() < 1e-15);
        // ABAB and BABA are half apart, and so is every other order.
        assert_eq!(survival(2, 2, 2), 1.0);
        assert_eq!(survival(1, 1, 1), 1.0);
        assert_eq!(survival(5, 3, 0), 1.0);
    }

    #[test]
    fn a_far_tail_keeps_its_digits() {
        // Two of C(40, 20) orders.
        let expected = 2.0 / 137_846_528_820.0;
        assert!((survival(20, 20, 400) / expected - 1.0).abs() < 1e-13);
    }
}
