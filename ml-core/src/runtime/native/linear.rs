//! Weighted sums of a row: `LinearRegressor`, `LinearClassifier`, `Gemm`.

use super::{
    elementwise::logistic,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::{Node, matrix},
};
use crate::{Error, Result, tensor::DType};

/// One weighted sum a target.
pub(super) fn regressor(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["coefficients", "intercepts", "targets", "post_transform"])?;
    let (rows, width) = matrix(node.only()?)?;
    if !matches!(attributes.string("post_transform")?, None | Some(b"NONE")) {
        return Err(Error::unsupported("the native runtime transforms no regression"));
    }
    let targets = usize::try_from(attributes.int("targets")?.unwrap_or(1)).unwrap_or(0);
    let sums = Sums::new(attributes.floats("coefficients")?, attributes.floats("intercepts")?, width, targets)?;
    let outputs = [Type::new(DType::Fp32, [rows, Length::fixed(targets)])];
    Ok(Lowered::step(Regressor { rows, sums }, outputs))
}

/// One weighted sum a class, or one for two classes; the label is the class of the greatest, the first of equals.
///
/// What a single sum becomes for two classes is not in the specification; it is as in ONNX Runtime.
pub(super) fn classifier(node: &Node<'_>) -> Result<Lowered> {
    let attributes =
        node.attributes(&["coefficients", "intercepts", "classlabels_ints", "multi_class", "post_transform"])?;
    let (rows, width) = matrix(node.only()?)?;
    let intercepts = attributes.floats("intercepts")?;
    let labels = attributes.ints("classlabels_ints")?.to_vec();
    let transform = match attributes.string("post_transform")? {
        None | Some(b"NONE") => Transform::None,
        Some(b"LOGISTIC") => Transform::Logistic,
        // One sum is not normalized against anything.
        Some(b"SOFTMAX") if intercepts.len() == 1 => Transform::None,
        Some(b"SOFTMAX") => Transform::Softmax,
        Some(other) => {
            return Err(Error::unsupported("the native runtime does not know this transform")
                .with("post_transform", other.escape_ascii()));
        }
    };
    let sums = Sums::new(attributes.floats("coefficients")?, intercepts, width, intercepts.len())?;
    if labels.len() != sums.targets && (sums.targets, labels.len()) != (1, 2) {
        return Err(Error::unsupported("the native runtime takes one whole-number label a class")
            .with("classes", sums.targets)
            .with("labels", labels.len()));
    }
    if labels.len() < 2 {
        return Err(Error::unsupported("the native runtime takes classifiers of two classes or more"));
    }
    let outputs = [Type::new(DType::Int64, [rows]), Type::new(DType::Fp32, [rows, Length::fixed(labels.len())])];
    Ok(Lowered::step(Classifier { rows, sums, labels, transform }, outputs))
}

/// `alpha · A · B + beta · C` with constant `B` and `C`.
pub(super) fn gemm(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["alpha", "beta", "transA", "transB"])?;
    node.at_most(3)?;
    let (rows, width) = matrix(&node.require(0)?.of)?;
    if attributes.int("transA")?.unwrap_or(0) != 0 {
        return Err(Error::unsupported("the native runtime does not transpose rows"));
    }
    let transposed = attributes.int("transB")?.unwrap_or(0) != 0;
    let alpha = attributes.float("alpha")?.unwrap_or(1.0);
    let beta = attributes.float("beta")?.unwrap_or(1.0);
    let weights = node.constant(1)?.ok_or_else(|| Error::corrupt("the operator takes two or three inputs"))?;
    let bias = node.constant(2)?;
    let not_floats = |error: Error| Error::unsupported("the native runtime multiplies only FP32").with_source(error);
    let values = weights.values::<f32>().map_err(not_floats)?;
    let targets = match (weights.shape(), transposed) {
        (&[targets, inner], true) | (&[inner, targets], false) if inner == width => targets,
        _ => return Err(Error::corrupt("the matrices do not fit").with("columns", width)),
    };
    let at = |target: usize, column: usize| {
        if transposed { values[target * width + column] } else { values[column * targets + target] }
    };
    let coefficients: Vec<f32> = (0..targets)
        .flat_map(|target| (0..width).map(move |column| (target, column)))
        .map(|(t, c)| alpha * at(t, c))
        .collect();
    let intercepts = match bias {
        None => vec![0.0; targets],
        Some(bias) => {
            let values = bias.values::<f32>().map_err(not_floats)?;
            match (values, bias.shape()) {
                ([one], _) => vec![beta * one; targets],
                (_, [n] | [1, n]) if *n == targets => values.iter().map(|value| beta * value).collect(),
                _ => return Err(Error::unsupported("the native runtime adds only one number a column")),
            }
        }
    };
    let sums = Sums::new(&coefficients, &intercepts, width, targets)?;
    let outputs = [Type::new(DType::Fp32, [rows, Length::fixed(targets)])];
    Ok(Lowered::step(Regressor { rows, sums }, outputs).reading(1))
}

/// Coefficients by target, then by column, and one intercept a target.
#[derive(Debug)]
struct Sums {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    width: usize,
    targets: usize,
}

impl Sums {
    fn new(coefficients: &[f32], intercepts: &[f32], width: usize, targets: usize) -> Result<Self> {
        let intercepts =
            if intercepts.is_empty() { vec![0.0; targets.min(coefficients.len())] } else { intercepts.to_vec() };
        if targets == 0 || intercepts.len() != targets || targets.checked_mul(width) != Some(coefficients.len()) {
            return Err(Error::corrupt("coefficients and intercepts do not fit the columns")
                .with("columns", width)
                .with("targets", targets)
                .with("coefficients", coefficients.len())
                .with("intercepts", intercepts.len()));
        }
        Ok(Self { coefficients: coefficients.to_vec(), intercepts, width, targets })
    }

    /// Appends the sums of every row.
    fn extend(&self, rows: usize, values: &[f32], out: &mut Vec<f32>) {
        out.reserve(rows * self.targets);
        for row in 0..rows {
            let row = &values[row * self.width..(row + 1) * self.width];
            for (target, intercept) in self.intercepts.iter().enumerate() {
                let coefficients = &self.coefficients[target * self.width..(target + 1) * self.width];
                out.push(dot(row, coefficients) + intercept);
            }
        }
    }
}

/// Eight sums side by side, so that the compiler can use vector registers; always in the same order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

#[derive(Debug)]
struct Regressor {
    rows: Length,
    sums: Sums,
}

impl Kernel for Regressor {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take(outputs[0]);
        out.clear();
        self.sums.extend(self.rows.at(frame.rows), frame.values(inputs[0]), &mut out);
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Transform {
    None,
    Logistic,
    Softmax,
}

#[derive(Debug)]
struct Classifier {
    rows: Length,
    sums: Sums,
    labels: Vec<i64>,
    transform: Transform,
}

impl Classifier {
    /// The label and the scores of one row, in place of its sums. NaN is greater than nothing.
    fn finish(&self, scores: &mut [f32]) -> i64 {
        let mut best = 0;
        for (class, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = class;
            }
        }
        match self.transform {
            Transform::None => {}
            Transform::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Transform::Softmax => softmax(scores),
        }
        self.labels[best]
    }

    /// The label and the two scores of a single sum.
    fn finish_single(&self, sum: f32) -> (i64, [f32; 2]) {
        let label = self.labels[usize::from(sum > 0.0)];
        let scores = match self.transform {
            Transform::Logistic => [logistic(-sum), logistic(sum)],
            Transform::None | Transform::Softmax => [1.0 - sum, sum],
        };
        (label, scores)
    }
}

impl Kernel for Classifier {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut labels = frame.take(outputs[0]);
        let mut scores = frame.take(outputs[1]);
        labels.clear();
        scores.clear();
        let values = frame.values::<f32>(inputs[0]);
        if self.sums.targets == 1 {
            for row in 0..self.rows.at(frame.rows) {
                let row = &values[row * self.sums.width..(row + 1) * self.sums.width];
                let (label, pair) = self.finish_single(dot(row, &self.sums.coefficients) + self.sums.intercepts[0]);
                labels.push(label);
                scores.extend(pair);
            }
        } else {
            self.sums.extend(self.rows.at(frame.rows), values, &mut scores);
            labels.extend(scores.chunks_exact_mut(self.sums.targets).map(|row| self.finish(row)));
        }
        frame.put(outputs[0], labels);
        frame.put(outputs[1], scores);
        Ok(())
    }
}

/// Shares of one by the exponential, without overflow.
pub(super) fn softmax(scores: &mut [f32]) {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - greatest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}
