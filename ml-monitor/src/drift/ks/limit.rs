//! The distribution of the one-sample statistic, which that of two large samples tends to.
//!
//! Simard and L'Ecuyer 2011, "Computing the Two-Sided Kolmogorov-Smirnov Distribution": which formula is precise where.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sample sizes and what is counted up to them are whole numbers of zero or more"
)]

use std::f64::consts::PI;

/// The probability that the statistic of `n` values is at least `x`.
///
/// `n` is a whole number of at least 1.
pub(super) fn survival(n: f64, x: f64) -> f64 {
    let t = n * x;
    let s = t * x;
    if t <= 0.5 {
        1.0
    } else if x >= 1.0 || s >= 370.0 {
        // Below the least positive double.
        0.0
    } else if t <= 1.0 {
        // n! (2x - 1/n)^n (Ruben and Gambino 1982).
        1.0 - (1..=n as u64).map(|i| i as f64 / n * (2.0 * t - 1.0)).product::<f64>()
    } else if t >= n - 1.0 {
        2.0 * (1.0 - x).powf(n)
    } else if x >= 0.5 || s >= if n <= SMALL { 4.0 } else { 2.2 } {
        // Twice the one-sided probability: that both sides are so far at once is negligible here, and impossible from 0.5.
        2.0 * one_sided(n, x)
    } else if n <= SMALL || (n <= 100_000.0 && s > NEGLIGIBLE && n * x.powf(1.5) <= 1.4) {
        1.0 - durbin(n, x)
    } else {
        1.0 - pelz_good(n, x)
    }
    .clamp(0.0, 1.0)
}

/// The probability that the one-sided statistic is at least `x` (Birnbaum and Tingey 1951, equation 3.0):
/// `Σⱼ x/(x+j/n) · P(Binomial(n, x+j/n) = j)`, for `j/n` up to `1-x`.
///
/// Each binomial probability is Stirling's formula with its remainder (Loader 2000, "Fast and Accurate Computation of
/// Binomial Probabilities"), so that no digits are lost to large factorials. Where there are many terms they are a smooth
/// bell over `j` with nothing at its ends, of which every `stride`-th times `stride` gives the same sum.
fn one_sided(n: f64, x: f64) -> f64 {
    let delta = n * x;
    let last = (n - delta).floor() as usize;
    let stride = (last / MIN_TERMS).max(1);
    let whole = stirling_remainder(n);
    let term = |j: usize| {
        if j == 0 {
            return (n * (-x).ln_1p()).exp();
        }
        let (j, rest) = (j as f64, n - j as f64);
        if rest <= delta {
            return 0.0;
        }
        // The deviances j·ln(j/np) + np - j and its like for the rest; np - j is delta.
        let deviance = -j * (delta / j).ln_1p() - rest * (-delta / rest).ln_1p();
        let scale = (n / (2.0 * PI * j * rest)).sqrt();
        let correction = whole - stirling_remainder(j) - stirling_remainder(rest);
        x / (x + j / n) * scale * (correction - deviance).exp()
    };
    (0..=last).step_by(stride).map(term).sum::<f64>() * stride as f64
}

/// `ln n! - ln(√(2πn) (n/e)ⁿ)`, for a whole number of at least 1.
fn stirling_remainder(n: f64) -> f64 {
    if n < 16.0 {
        let factorial: f64 = (1..=n as u64).map(|i| i as f64).product();
        return factorial.ln() - (0.5 * (2.0 * PI * n).ln() + n * n.ln() - n);
    }
    let square = n * n;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square) / square)
        / n
}

/// The probability that the statistic is below `x`: a power of Durbin's matrix (Marsaglia, Tsang and Wang 2003,
/// "Evaluating Kolmogorov's Distribution"). The matrix has about `2nx` rows.
fn durbin(n: f64, x: f64) -> f64 {
    let t = n * x;
    let k = t.ceil() as usize;
    let h = k as f64 - t;
    let size = 2 * k - 1;
    let mut matrix = Scaled { size, cells: vec![0.0; size * size], exponent: 0 };
    let mut factorials = vec![1.0_f64; size + 1];
    for i in 1..=size {
        factorials[i] = factorials[i - 1] * i as f64;
    }
    for row in 0..size {
        for column in 0..=(row + 1).min(size - 1) {
            let mut cell = 1.0;
            if column == 0 {
                cell -= h.powi(exponent(row + 1));
            }
            if row == size - 1 {
                cell -= h.powi(exponent(size - column));
            }
            if column == 0 && row == size - 1 && h > 0.5 {
                cell += (2.0 * h - 1.0).powi(exponent(size));
            }
            matrix.cells[row * size + column] = cell / factorials[row + 1 - column];
        }
    }
    let mut power = Scaled::identity(size);
    let mut bits = n as u64;
    while bits > 0 {
        if bits & 1 == 1 {
            power = power.times(&matrix);
        }
        bits >>= 1;
        if bits > 0 {
            matrix = matrix.times(&matrix);
        }
    }
    // Times n!/nⁿ, in steps that neither overflow nor vanish.
    let mut probability = power.cells[(k - 1) * size + k - 1];
    let mut scale = power.exponent;
    for i in 1..=n as u64 {
        probability *= i as f64 / n;
        if probability < 1.0 / SCALE {
            probability *= SCALE;
            scale -= 1;
        }
    }
    probability * SCALE.powi(scale)
}

/// A square matrix times a power of [`SCALE`].
struct Scaled {
    size: usize,
    cells: Vec<f64>,
    exponent: i32,
}

impl Scaled {
    fn identity(size: usize) -> Self {
        let mut cells = vec![0.0; size * size];
        cells.iter_mut().step_by(size + 1).for_each(|cell| *cell = 1.0);
        Self { size, cells, exponent: 0 }
    }

    fn times(&self, other: &Self) -> Self {
        let mut cells = vec![0.0; self.size * self.size];
        for (row, from) in cells.chunks_exact_mut(self.size).zip(self.cells.chunks_exact(self.size)) {
            for (&factor, line) in from.iter().zip(other.cells.chunks_exact(self.size)) {
                for (cell, &value) in row.iter_mut().zip(line) {
                    *cell += factor * value;
                }
            }
        }
        let mut exponent = self.exponent + other.exponent;
        if cells.iter().any(|&cell| cell > SCALE) {
            cells.iter_mut().for_each(|cell| *cell /= SCALE);
            exponent += 1;
        }
        Self { size: self.size, cells, exponent }
    }
}

/// The probability that the statistic is below `x`, for large `n` (Pelz and Good 1976, "Approximating the Lower Tail-Areas
/// of the Kolmogorov-Smirnov One-Sample Statistic"): the limit and its corrections in 1/√n, 1/n and 1/n√n.
fn pelz_good(n: f64, x: f64) -> f64 {
    let z = n.sqrt() * x;
    let (z2, p2) = (z * z, PI * PI);
    let [z4, z6, z8] = [2, 3, 4].map(|power| z2.powi(power));
    let mut sums = [0.0; 4];
    let mut extra = [0.0; 2];
    // Twenty terms reach past the last digit for every z that comes here, below two.
    for k in 1..=20 {
        let half = f64::from(k) - 0.5;
        let a = p2 * half * half;
        let weight = (-a / (2.0 * z2)).exp();
        sums[0] += weight;
        sums[1] += weight * (a - z2);
        sums[2] += weight * (6.0 * z6 + 2.0 * z4 + (2.0 * z4 - 5.0 * z2) * a + (1.0 - 2.0 * z2) * a * a);
        sums[3] += weight
            * ((5.0 - 30.0 * z2) * a.powi(3) + (212.0 * z4 - 60.0 * z2) * a * a + (135.0 * z4 - 96.0 * z6) * a
                - (30.0 * z6 + 90.0 * z8));
        let b = p2 * f64::from(k).powi(2);
        let weight = (-b / (2.0 * z2)).exp();
        extra[0] += weight * b;
        extra[1] += weight * (3.0 * z2 - b) * b;
    }
    let root = (2.0 * PI).sqrt();
    let terms = [
        root / z * sums[0],
        root / (6.0 * z4) * sums[1],
        root / (72.0 * z6 * z) * sums[2] - root / (36.0 * z2 * z) * extra[0],
        root / (6480.0 * z8 * z2) * sums[3] + root / (216.0 * z6) * extra[1],
    ];
    terms[0] + (terms[1] + (terms[2] + terms[3] / n.sqrt()) / n.sqrt()) / n.sqrt()
}

fn exponent(power: usize) -> i32 {
    i32::try_from(power).expect("the matrix is small")
}

/// Up to here the exact matrix is quick for every `x`.
const SMALL: f64 = 140.0;
/// Where `n x²` is below this the distribution function is below 1e-12.
const NEGLIGIBLE: f64 = 0.042;
/// Terms of the one-sided sum that describe its bell to the last digit.
const MIN_TERMS: usize = 1_024;
const SCALE: f64 = 1e140;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        one_sample: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        n: f64,
        x: f64,
        survival: f64,
    }

    #[test]
    fn the_distribution_is_that_of_scipy() {
        let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/drift.json"))
            .expect("the golden file is of this form");
        for Case { n, x, survival: expected } in golden.one_sample {
            let got = survival(n, x);
            assert!((got - expected).abs() <= 1e-9 * expected.max(1e-300), "n {n}, x {x}: {got}, expected {expected}");
        }
    }

    #[test]
    fn strides_over_the_one_sided_sum_lose_nothing() {
        for (n, s) in [(4_000.0_f64, 2.2), (50_000.0, 2.2), (50_000.0, 30.0), (300_000.0, 2.2), (300_000.0, 300.0)] {
            let x = (s / n).sqrt();
            let delta = n * x;
            let whole = stirling_remainder(n);
            let all: f64 = (1..(n - delta).floor() as usize)
                .map(|j| {
                    let (j, rest) = (j as f64, n - j as f64);
                    let deviance = j * (j / (j + delta)).ln() + rest * (rest / (rest - delta)).ln();
                    (n / (2.0 * PI * j * rest)).sqrt() * x / (x + j / n)
                        * (whole - stirling_remainder(j) - stirling_remainder(rest) - deviance).exp()
                })
                .sum();
            assert!((one_sided(n, x) / all - 1.0).abs() < 1e-10, "{n} {s}: {} {all}", one_sided(n, x));
        }
    }

    #[test]
    fn the_formulas_meet_where_they_take_over() {
        let near = |a: f64, b: f64, tolerance: f64| assert!((a / b - 1.0).abs() < tolerance, "{a} {b}");
        for n in [141.0_f64, 1_000.0, 20_000.0] {
            let x = (2.2 / n).sqrt();
            near(2.0 * one_sided(n, x), 1.0 - pelz_good(n, x), 1e-4);
            let x = (1.4 / n).powf(2.0 / 3.0);
            near(1.0 - durbin(n, x), 1.0 - pelz_good(n, x), 1e-5);
        }
        let x = (4.0_f64 / 140.0).sqrt();
        near(2.0 * one_sided(140.0, x), 1.0 - durbin(140.0, x), 1e-6);
    }

    #[test]
    fn the_probability_falls_from_one_to_zero() {
        for n in [1.0, 2.0, 10.0, 139.0, 1_000.0, 100_000.0, 1e7] {
            let mut before = 1.0;
            for step in 0..=1_000 {
                let p = survival(n, f64::from(step) / 1_000.0);
                assert!((0.0..=before + 1e-6).contains(&p), "{n} {step}: {p} after {before}");
                before = p;
            }
            assert_eq!(before, 0.0);
        }
    }
}
