//! The error function, which the standard library lacks.

const TWO_OVER_ROOT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

/// To the last digits of double precision: a series of positive terms near zero (Abramowitz and Stegun 1964, 7.1.6), the
/// continued fraction of the complement (7.1.14) further out.
pub(in crate::runtime::native) fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size < 2.5 {
        let square = x * x;
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while f64::abs(term) > f64::EPSILON * f64::abs(sum) / 4.0 {
            n += 1.0;
            term *= square / (n + 0.5);
            sum += term;
        }
        TWO_OVER_ROOT_PI * (-square).exp() * sum
    } else if size < 6.0 {
        let fraction = (1..=60).rev().fold(0.0, |rest, k| 0.5 * f64::from(k) / (size + rest));
        let complement = (-x * x).exp() / (size + fraction) * (0.5 * TWO_OVER_ROOT_PI);
        (1.0 - complement).copysign(x)
    } else if x.is_nan() {
        x
    } else {
        1.0_f64.copysign(x)
    }
}

/// To single precision, in the time of one exponential: the power series near zero, further out the approximation 7.1.26 of
/// Abramowitz and Stegun (1964), within 1.5e-7.
#[expect(clippy::cast_possible_truncation, reason = "the result is in single precision")]
pub(in crate::runtime::native) fn erf_f32(x: f32) -> f32 {
    const SERIES: [f64; 12] = {
        // (-1)^n / (n! (2n + 1))
        let mut terms = [0.0; 12];
        let (mut factor, mut n) = (1.0, 0);
        while n < 12 {
            terms[n] = factor / (2 * n + 1) as f64;
            n += 1;
            factor /= -(n as f64);
        }
        terms
    };
    const TAIL: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let (x, size) = (f64::from(x), f64::from(x).abs());
    if size < 1.0 {
        let square = x * x;
        return (TWO_OVER_ROOT_PI * x * SERIES.iter().rev().fold(0.0, |sum, term| sum * square + term)) as f32;
    }
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let polynomial = TAIL.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (1.0 - polynomial * (-x * x).exp()).copysign(x) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_give_the_values_of_tables() {
        // Abramowitz and Stegun 1964, table 7.1, and mpmath beyond it.
        let table = [
            (0.0, 0.0),
            (0.0625, 0.070_431_977_722_387_07),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
            (5.0, 0.999_999_999_998_462_5),
            (7.0, 1.0),
        ];
        for (x, expected) in table {
            for (x, expected) in [(x, expected), (-x, -expected)] {
                assert!((erf(x) - expected).abs() < 4e-16, "{x}: {}", erf(x));
                #[expect(clippy::cast_possible_truncation, reason = "each is a number of single precision")]
                let single = f64::from(erf_f32(x as f32));
                assert!((single - expected).abs() < 2e-7 * expected.abs().max(1e-9), "{x}: {single}");
            }
        }
        assert!(erf(f64::NAN).is_nan() && erf_f32(f32::NAN).is_nan());
        assert_eq!((erf_f32(f32::INFINITY), erf(f64::NEG_INFINITY)), (1.0, -1.0));
    }
}
