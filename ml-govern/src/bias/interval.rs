use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// The two ends of a confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The score interval of a proportion (Wilson 1927, "Probable inference, the law of succession, and statistical
/// inference", without continuity correction), as `binomtest(k, n).proportion_ci(method="wilson")` of scipy.
///
/// `successes` of `trials`, where `trials` is above zero; `z` is the normal quantile of the level, 1.96 for 95 %.
///
/// ```
/// let interval = ml_govern::bias::wilson(7.0, 10.0, 1.959964);
/// assert!((interval.low - 0.3968).abs() < 1e-4 && (interval.high - 0.8922).abs() < 1e-4);
/// ```
#[must_use]
pub fn wilson(successes: f64, trials: f64, z: f64) -> Interval {
    let p = successes / trials;
    let shrink = 1.0 + z * z / trials;
    let center = (p + z * z / (2.0 * trials)) / shrink;
    let half = z / shrink * (p * (1.0 - p) / trials + z * z / (4.0 * trials * trials)).sqrt();
    // The ends are exact at none and all, where rounding would leave the range.
    let low = if successes == 0.0 { 0.0 } else { (center - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (center + half).min(1.0) };
    Interval { low, high }
}

/// The hybrid score interval of a difference of independent proportions, `a` minus `b`, each given as successes and
/// trials (Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10).
#[must_use]
pub fn newcombe_difference(a: (f64, f64), b: (f64, f64), z: f64) -> Interval {
    let (p, q) = (a.0 / a.1, b.0 / b.1);
    let (of_p, of_q) = (wilson(a.0, a.1, z), wilson(b.0, b.1, z));
    Interval { low: p - q - (p - of_p.low).hypot(of_q.high - q), high: p - q + (of_p.high - p).hypot(q - of_q.low) }
}

/// The hybrid interval of a ratio of independent proportions, `a` over `b`, each given as successes and trials, with `b`
/// above zero (Donner and Zou 2012, "Closed-form confidence intervals for functions of the normal mean and standard
/// deviation", section 2.3, with Wilson limits). Unlike the logarithmic interval it stands at 0 and at 1.
#[must_use]
pub fn ratio(a: (f64, f64), b: (f64, f64), z: f64) -> Interval {
    let (p, q) = (a.0 / a.1, b.0 / b.1);
    let (of_p, of_q) = (wilson(a.0, a.1, z), wilson(b.0, b.1, z));
    let product = p * q;
    let root = |x: f64, y: f64| (product * product - x * y).max(0.0).sqrt();
    let (x, y) = (of_p.low * (2.0 * p - of_p.low), of_q.high * (2.0 * q - of_q.high));
    // The textbook form divides by y, which may be 0; this is the same multiplied out.
    let low = if x == 0.0 { 0.0 } else { x / (product + root(x, y)) };
    let (x, y) = (of_p.high * (2.0 * p - of_p.high), of_q.low * (2.0 * q - of_q.low));
    Interval { low, high: (product + root(x, y)) / y }
}

/// The normal quantile of a two-sided confidence level.
pub(super) fn z_of(confidence: f64) -> f64 {
    Normal::standard().inverse_cdf(f64::midpoint(1.0, confidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        // scipy.stats.norm.ppf
        for (confidence, z) in
            [(0.9, 1.644_853_626_951_472_7), (0.95, 1.959_963_984_540_054), (0.999, 3.290_526_731_491_925_5)]
        {
            assert!((z_of(confidence) - z).abs() < 1e-12, "{confidence}: {}", z_of(confidence));
        }
    }

    proptest! {
        #[test]
        fn intervals_contain_their_estimate(k in 0_u32..=50, more in 0_u32..=50, j in 1_u32..=50, other in 0_u32..=50) {
            let (a, b) = ((f64::from(k), f64::from(k + more + 1)), (f64::from(j), f64::from(j + other)));
            let (p, q) = (a.0 / a.1, b.0 / b.1);
            for (value, interval) in
                [(p, wilson(a.0, a.1, 1.96)), (p - q, newcombe_difference(a, b, 1.96)), (p / q, ratio(a, b, 1.96))]
            {
                prop_assert!(interval.low.is_finite() && interval.high.is_finite());
                prop_assert!(interval.low <= value + 1e-12 && value <= interval.high + 1e-12, "{value} {interval:?}");
            }
        }
    }
}
