//! Probabilities of classes from those between each two of them.

use super::super::activation::logistic;

/// A probability between two classes is not closer to certain than this.
const CERTAIN: f32 = 1e-7;

/// The method of Wu, Lin and Weng (2004, section 4.1, algorithm 1): the probabilities that contradict least what is known
/// between each two classes, by a fixed-point iteration. Where it ends is as in libsvm and ONNX Runtime.
#[derive(Debug)]
pub(super) struct Coupling {
    /// The logistic curve through the sums of each two classes (Platt 1999): slope and offset.
    curves: Vec<(f32, f32)>,
    classes: usize,
}

/// What is written over for each row.
#[derive(Debug)]
pub(super) struct Work {
    matrix: Vec<f32>,
    product: Vec<f32>,
    probabilities: Vec<f32>,
}

impl Coupling {
    pub(super) fn new(curves: Vec<(f32, f32)>, classes: usize) -> Self {
        Self { curves, classes }
    }

    pub(super) fn work(&self) -> Work {
        Work {
            matrix: vec![0.0; self.classes * self.classes],
            product: vec![0.0; self.classes],
            probabilities: vec![0.0; self.classes],
        }
    }

    /// The probability of each class, from the sum of each two.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^24 classes")]
    pub(super) fn probabilities<'a>(&self, sums: &[f32], work: &'a mut Work) -> &'a [f32] {
        let k = self.classes;
        let Work { matrix, product, probabilities } = work;
        matrix.fill(0.0);
        let mut pairs = sums.iter().zip(&self.curves);
        for first in 0..k {
            for second in first + 1..k {
                let Some((sum, (slope, offset))) = pairs.next() else { break };
                let of_first = (1.0 - logistic(sum * slope + offset)).clamp(CERTAIN, 1.0 - CERTAIN);
                let of_second = 1.0 - of_first;
                matrix[first * k + first] += of_second * of_second;
                matrix[second * k + second] += of_first * of_first;
                matrix[first * k + second] = -of_second * of_first;
                matrix[second * k + first] = -of_second * of_first;
            }
        }
        probabilities.fill(1.0 / k as f32);
        let tolerance = 0.005 / k as f32;
        for _ in 0..100 {
            let mut square = 0.0;
            for (class, product) in product.iter_mut().enumerate() {
                let row = &matrix[class * k..(class + 1) * k];
                *product = row.iter().zip(&*probabilities).map(|(a, b)| a * b).sum();
                square += probabilities[class] * *product;
            }
            // Of what is not a number nothing is known: all classes stay alike.
            if !product.iter().any(|product| (product - square).abs() >= tolerance) {
                break;
            }
            for class in 0..k {
                let own = matrix[class * k + class];
                let change = (square - product[class]) / own;
                probabilities[class] += change;
                let whole = 1.0 + change;
                square = (square + change * (change * own + 2.0 * product[class])) / whole / whole;
                for other in 0..k {
                    product[other] = (product[other] + change * matrix[class * k + other]) / whole;
                    probabilities[other] /= whole;
                }
            }
        }
        probabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_have_the_probability_between_them() {
        let coupling = Coupling::new(vec![(-1.0, 0.0)], 2);
        let probabilities = coupling.probabilities(&[0.7], &mut coupling.work()).to_vec();
        assert!((probabilities[0] - logistic(0.7)).abs() < 5e-3, "{probabilities:?}");
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn equal_contests_leave_equal_classes() {
        let coupling = Coupling::new(vec![(-1.0, 0.0); 3], 3);
        let probabilities = coupling.probabilities(&[0.0; 3], &mut coupling.work()).to_vec();
        assert!(probabilities.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-6), "{probabilities:?}");
    }
}
