//! Weighted sums of a row: `LinearRegressor`, `LinearClassifier`.

use super::{
    activation::logistic,
    dense::{Dense, DenseStep},
    kernel::{Frame, Kernel, Lowered, Slot},
    labels::Labels,
    length::{Length, Type},
    node::{Node, matrix},
    transform::Transform,
};
use crate::{Error, Result, tensor::DType};

/// One weighted sum a target.
pub(super) fn regressor(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["coefficients", "intercepts", "targets", "post_transform"])?;
    let (rows, width) = matrix(node.only()?)?;
    let targets = usize::try_from(attributes.int("targets")?.unwrap_or(1)).unwrap_or(0);
    let coefficients = attributes.floats("coefficients")?;
    // A declared number costs nothing, so it is bounded by what the file spells out.
    if targets == 0 || targets > coefficients.len() {
        return Err(Error::corrupt("at least one coefficient a target is needed").with("targets", targets));
    }
    // As in ONNX Runtime, intercepts of another number are none.
    let intercepts = attributes.floats("intercepts")?;
    let intercepts = if intercepts.len() == targets { intercepts.to_vec() } else { vec![0.0; targets] };
    let dense = Dense::new(coefficients, intercepts, width)?;
    let outputs = [Type::new(DType::Fp32, [rows, Length::fixed(targets)])];
    Ok(match Transform::of(attributes)? {
        Transform::None => Lowered::step(DenseStep { rows, dense }, outputs),
        // A single number has nothing to be normalized against, and is no score of a class.
        Transform::Logistic | Transform::Softmax | Transform::SoftmaxZero if targets == 1 => {
            Lowered::step(DenseStep { rows, dense }, outputs)
        }
        transform => Lowered::step(Transformed { rows, dense, transform }, outputs),
    })
}

/// One weighted sum a class, or one for two classes; the label is the class of the greatest, the first of equals.
///
/// What a single sum becomes for two classes is not in the specification; it is as in ONNX Runtime.
pub(super) fn classifier(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&[
        "coefficients",
        "intercepts",
        "classlabels_ints",
        "classlabels_strings",
        "multi_class",
        "post_transform",
    ])?;
    let (rows, width) = matrix(node.only()?)?;
    let intercepts = attributes.floats("intercepts")?.to_vec();
    let labels = Labels::of(attributes, "classlabels_ints", "classlabels_strings")?;
    let transform = Transform::of(attributes)?;
    let single = intercepts.len() == 1;
    if labels.len() != if single { 2 } else { intercepts.len() } {
        return Err(Error::corrupt("one label a class is needed")
            .with("intercepts", intercepts.len())
            .with("labels", labels.len()));
    }
    if single && transform == Transform::Probit {
        return Err(Error::unsupported("one sum has no probit of two classes"));
    }
    let dense = Dense::new(attributes.floats("coefficients")?, intercepts, width)?;
    let outputs = [Type::new(labels.dtype(), [rows]), Type::new(DType::Fp32, [rows, Length::fixed(labels.len())])];
    Ok(Lowered::step(Classifier { rows, dense, labels, transform }, outputs))
}

/// Sums with something made of each row of them.
#[derive(Debug)]
struct Transformed {
    rows: Length,
    dense: Dense,
    transform: Transform,
}

impl Kernel for Transformed {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared(outputs[0]);
        self.dense.extend(self.rows.at(frame.rows), frame.values(inputs[0]), &mut out);
        out.chunks_exact_mut(self.dense.outputs()).for_each(|row| self.transform.apply_to_sums(row));
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Classifier {
    rows: Length,
    dense: Dense,
    labels: Labels,
    transform: Transform,
}

impl Kernel for Classifier {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut scores = frame.take_cleared::<f32>(outputs[1]);
        self.dense.extend(self.rows.at(frame.rows), frame.values(inputs[0]), &mut scores);
        if self.dense.outputs() == 1 {
            self.labels.write(frame, outputs[0], scores.iter().map(|sum| usize::from(*sum > 0.0)));
            pairs(&mut scores, |sum| match self.transform {
                Transform::Logistic => [logistic(-sum), logistic(sum)],
                _ => [1.0 - sum, sum],
            });
        } else {
            self.labels.write(frame, outputs[0], scores.chunks_exact(self.dense.outputs()).map(greatest));
            scores.chunks_exact_mut(self.dense.outputs()).for_each(|row| self.transform.apply_to_sums(row));
        }
        frame.put(outputs[1], scores);
        Ok(())
    }
}

/// Two scores in place of each one.
pub(super) fn pairs(scores: &mut Vec<f32>, of: impl Fn(f32) -> [f32; 2]) {
    let rows = scores.len();
    scores.resize(2 * rows, 0.0);
    // From the end, so that no sum is overwritten before it is read.
    for row in (0..rows).rev() {
        let pair = of(scores[row]);
        scores[2 * row..2 * row + 2].copy_from_slice(&pair);
    }
}

/// The place of the greatest, the first of equals. NaN is greater than nothing.
pub(super) fn greatest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (at, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = at;
        }
    }
    best
}
