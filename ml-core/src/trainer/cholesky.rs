//! Solves `A x = b` for a symmetric positive definite `A`.

use ndarray::{Array1, Array2, s};

/// Solves by the Cholesky decomposition `A = L Lᵀ` (Golub and Van Loan 2013, algorithm 4.2.2), reading the lower
/// triangle of `a`.
///
/// # Errors
/// The number of the first row that depends on those before it, up to rounding.
pub(super) fn solve(mut a: Array2<f64>, mut b: Array1<f64>) -> Result<Array1<f64>, usize> {
    let n = b.len();
    for j in 0..n {
        let before = a.slice(s![j, ..j]);
        let pivot = a[[j, j]] - before.dot(&before);
        // What is left of the diagonal after all that was taken from it; a dependent row leaves only rounding.
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 columns")]
        let rounding = f64::EPSILON * 8.0 * (n as f64) * a[[j, j]].abs();
        if !(pivot.is_finite() && pivot > rounding) {
            return Err(j);
        }
        let root = pivot.sqrt();
        a[[j, j]] = root;
        for i in j + 1..n {
            let dot = a.slice(s![i, ..j]).dot(&a.slice(s![j, ..j]));
            a[[i, j]] = (a[[i, j]] - dot) / root;
        }
    }
    for i in 0..n {
        let dot = a.slice(s![i, ..i]).dot(&b.slice(s![..i]));
        b[i] = (b[i] - dot) / a[[i, i]];
    }
    for i in (0..n).rev() {
        let dot = a.slice(s![i + 1.., i]).dot(&b.slice(s![i + 1..]));
        b[i] = (b[i] - dot) / a[[i, i]];
    }
    Ok(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_known_system_is_solved() {
        let a = array![[4.0, 12.0, -16.0], [12.0, 37.0, -43.0], [-16.0, -43.0, 98.0]];
        let x = array![1.0, -2.0, 0.5];
        let solved = solve(a.clone(), a.dot(&x)).expect("positive definite");
        assert!((&solved - &x).iter().all(|d| d.abs() < 1e-9), "{solved}");
    }

    #[test]
    fn a_dependent_row_is_named() {
        assert_eq!(solve(array![[1.0, 2.0], [2.0, 4.0]], array![1.0, 1.0]), Err(1));
        assert_eq!(solve(array![[0.0]], array![1.0]), Err(0));
        assert_eq!(solve(array![[f64::NAN]], array![1.0]), Err(0));
    }
}
