//! Support vector machines: `SVMRegressor`, `SVMClassifier`.
//!
//! The attributes are those of libsvm, and so are the votes and probabilities. What scores a classifier without
//! probabilities gives is not in the specification; it is as in ONNX Runtime.

mod coupling;

use super::{
    activation::logistic,
    dense::dot,
    kernel::{Frame, Kernel, Lowered, Slot},
    labels::Labels,
    length::{Length, Type},
    linear::{greatest, pairs},
    node::{Attributes, Node, matrix},
    transform::Transform,
};
use crate::{Error, Result, tensor::DType};
use coupling::Coupling;

/// A weighted sum of how much a row is like each support vector, or of its columns.
pub(super) fn regressor(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&[
        "coefficients",
        "kernel_params",
        "kernel_type",
        "n_supports",
        "one_class",
        "post_transform",
        "rho",
        "support_vectors",
    ])?;
    let (rows, width) = matrix(node.only()?)?;
    let supports = attributes.int("n_supports")?.unwrap_or(0);
    let coefficients = attributes.floats("coefficients")?.to_vec();
    let rho = *attributes.floats("rho")?.first().ok_or_else(|| Error::corrupt("the operator lacks rho"))?;
    // Without support vectors the coefficients are those of the columns.
    let likeness = if supports > 0 {
        Likeness::new(Similarity::of(attributes)?, attributes.floats("support_vectors")?, width, coefficients.len())?
    } else {
        Likeness::new(Similarity::Linear, &coefficients, width, 1)?
    };
    if supports > 0 && usize::try_from(supports).ok() != Some(coefficients.len()) {
        return Err(Error::corrupt("one coefficient a support vector is needed").with("supports", supports));
    }
    let weights = if supports > 0 { coefficients } else { vec![1.0] };
    let one_class = attributes.flag("one_class", false)?;
    // ONNX Runtime reads a transform of the sum, and makes none.
    Transform::of(attributes)?;
    let outputs = [Type::new(DType::Fp32, [rows, Length::ONE])];
    Ok(Lowered::step(Regressor { rows, likeness, weights, rho, one_class }, outputs))
}

/// A vote between each two classes, or a weighted sum of the columns a class.
pub(super) fn classifier(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "kernel_params",
        "kernel_type",
        "post_transform",
        "prob_a",
        "prob_b",
        "rho",
        "support_vectors",
        "vectors_per_class",
    ])?;
    let (rows, width) = matrix(node.only()?)?;
    let labels = Labels::of(attributes, "classlabels_ints", "classlabels_strings")?;
    let classes = labels.len();
    if classes < 2 {
        return Err(Error::unsupported("the native runtime takes classifiers of two classes or more"));
    }
    let transform = Transform::of(attributes)?;
    let coefficients = attributes.floats("coefficients")?;
    let rho = attributes.floats("rho")?;
    let counts: Vec<usize> = attributes
        .ints("vectors_per_class")?
        .iter()
        .map(|&count| usize::try_from(count).map_err(|_| Error::corrupt("a number of vectors is negative")))
        .collect::<Result<_>>()?;
    let misfit = || Error::corrupt("coefficients, vectors and classes do not fit together").with("classes", classes);
    let vectors = counts.iter().try_fold(0_usize, |sum, &count| sum.checked_add(count)).ok_or_else(misfit)?;
    let label =
        |scores: usize| [Type::new(labels.dtype(), [rows]), Type::new(DType::Fp32, [rows, Length::fixed(scores)])];
    if vectors == 0 {
        let likeness = Likeness::new(Similarity::Linear, coefficients, width, classes)?;
        let rho = *rho.first().ok_or_else(misfit)?;
        let chosen = if !attributes.floats("prob_a")?.is_empty() || classes > 2 {
            Chosen::Greatest
        } else if coefficients.iter().all(|coefficient| *coefficient >= 0.0) {
            Chosen::SecondAtLeast(0.5)
        } else {
            Chosen::SecondAbove(0.0)
        };
        let outputs = label(classes);
        return Ok(Lowered::step(Linear { rows, likeness, rho, labels, chosen, transform }, outputs));
    }
    let between = classes * (classes - 1) / 2;
    if counts.len() != classes
        || (classes - 1).checked_mul(vectors).is_none_or(|needed| coefficients.len() < needed)
        || rho.len() < between
    {
        return Err(misfit());
    }
    let likeness = Likeness::new(Similarity::of(attributes)?, attributes.floats("support_vectors")?, width, vectors)?;
    let (a, b) = (attributes.floats("prob_a")?, attributes.floats("prob_b")?);
    let coupling = if a.is_empty() {
        None
    } else if a.len() == b.len() && a.len() >= between {
        Some(Coupling::new(a.iter().copied().zip(b.iter().copied()).collect(), classes))
    } else {
        return Err(misfit());
    };
    if coupling.is_none() && classes == 2 && transform == Transform::Probit {
        return Err(Error::unsupported("one sum has no probit of two classes"));
    }
    let mut starts = vec![0];
    counts.iter().for_each(|count| starts.push(starts[starts.len() - 1] + count));
    let outputs = label(if coupling.is_some() || classes == 2 { classes } else { between });
    let votes = Votes {
        rows,
        likeness,
        coefficients: coefficients.to_vec(),
        rho: rho.to_vec(),
        starts,
        labels,
        coupling,
        transform,
    };
    Ok(Lowered::step(votes, outputs))
}

/// How alike two rows are.
#[derive(Debug, Clone, Copy)]
enum Similarity {
    Linear,
    Polynomial { gamma: f32, addend: f32, degree: f32 },
    Radial { gamma: f32 },
    Sigmoid { gamma: f32, addend: f32 },
}

impl Similarity {
    fn of(attributes: Attributes<'_>) -> Result<Self> {
        let [gamma, addend, degree] = match *attributes.floats("kernel_params")? {
            [] => [0.0; 3],
            [gamma, addend, degree, ..] => [gamma, addend, degree],
            _ => return Err(Error::corrupt("a kernel has three parameters")),
        };
        match attributes.string("kernel_type")? {
            None | Some(b"LINEAR") => Ok(Self::Linear),
            Some(b"POLY") => Ok(Self::Polynomial { gamma, addend, degree }),
            Some(b"RBF") => Ok(Self::Radial { gamma }),
            Some(b"SIGMOID") => Ok(Self::Sigmoid { gamma, addend }),
            Some(other) => Err(Error::corrupt("there is no such kernel").with("kernel_type", other.escape_ascii())),
        }
    }
}

/// Rows to be like.
#[derive(Debug)]
struct Likeness {
    similarity: Similarity,
    vectors: Vec<f32>,
    width: usize,
    count: usize,
}

impl Likeness {
    fn new(similarity: Similarity, vectors: &[f32], width: usize, count: usize) -> Result<Self> {
        if count == 0 || count.checked_mul(width) != Some(vectors.len()) {
            return Err(Error::corrupt("the vectors do not fit the columns")
                .with("columns", width)
                .with("vectors", count)
                .with("numbers", vectors.len()));
        }
        Ok(Self { similarity, vectors: vectors.to_vec(), width, count })
    }

    /// How like a row is to each vector.
    fn write(&self, row: &[f32], out: &mut Vec<f32>) {
        out.clear();
        for at in 0..self.count {
            let vector = &self.vectors[at * self.width..(at + 1) * self.width];
            out.push(match self.similarity {
                Similarity::Linear => dot(row, vector),
                Similarity::Polynomial { gamma, addend, degree } => (gamma * dot(row, vector) + addend).powf(degree),
                Similarity::Radial { gamma } => {
                    let distance: f32 = row.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum();
                    (-gamma * distance).exp()
                }
                Similarity::Sigmoid { gamma, addend } => (gamma * dot(row, vector) + addend).tanh(),
            });
        }
    }

    fn row<'a>(&self, values: &'a [f32], row: usize) -> &'a [f32] {
        &values[row * self.width..(row + 1) * self.width]
    }
}

#[derive(Debug)]
struct Regressor {
    rows: Length,
    likeness: Likeness,
    weights: Vec<f32>,
    rho: f32,
    /// Only on which side of zero the sum is.
    one_class: bool,
}

impl Kernel for Regressor {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<f32>(outputs[0]);
        let values = frame.values(inputs[0]);
        let mut likeness = Vec::with_capacity(self.likeness.count);
        for row in 0..self.rows.at(frame.rows) {
            self.likeness.write(self.likeness.row(values, row), &mut likeness);
            let sum = dot(&likeness, &self.weights) + self.rho;
            out.push(match self.one_class {
                true if sum > 0.0 => 1.0,
                true => -1.0,
                false => sum,
            });
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// Which class a row of sums is, when there are no votes.
#[derive(Debug, Clone, Copy)]
enum Chosen {
    Greatest,
    /// The second of two classes when the greatest sum is large enough, else the one of the greatest.
    SecondAtLeast(f32),
    SecondAbove(f32),
}

#[derive(Debug)]
struct Linear {
    rows: Length,
    likeness: Likeness,
    rho: f32,
    labels: Labels,
    chosen: Chosen,
    transform: Transform,
}

impl Kernel for Linear {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut scores = frame.take_cleared::<f32>(outputs[1]);
        let values = frame.values(inputs[0]);
        let mut sums = Vec::with_capacity(self.likeness.count);
        for row in 0..self.rows.at(frame.rows) {
            self.likeness.write(self.likeness.row(values, row), &mut sums);
            scores.extend(sums.iter().map(|sum| sum + self.rho));
        }
        let classes = scores.chunks_exact(self.likeness.count).map(|row| {
            let best = greatest(row);
            match self.chosen {
                Chosen::SecondAtLeast(least) if row[best] >= least => 1,
                Chosen::SecondAbove(limit) if row[best] > limit => 1,
                _ => best,
            }
        });
        self.labels.write(frame, outputs[0], classes);
        scores.chunks_exact_mut(self.likeness.count).for_each(|row| self.transform.apply_to_sums(row));
        frame.put(outputs[1], scores);
        Ok(())
    }
}

#[derive(Debug)]
struct Votes {
    rows: Length,
    likeness: Likeness,
    /// One fewer than classes for each vector: those against the other classes.
    coefficients: Vec<f32>,
    /// One for each two classes.
    rho: Vec<f32>,
    /// Where the vectors of each class start, and where the last end.
    starts: Vec<usize>,
    labels: Labels,
    coupling: Option<Coupling>,
    transform: Transform,
}

impl Votes {
    /// Appends the sum of each two classes; above zero it is a vote for the first.
    fn decide(&self, likeness: &[f32], sums: &mut Vec<f32>, votes: &mut [usize]) {
        votes.fill(0);
        let classes = votes.len();
        let mut number = 0;
        for first in 0..classes {
            for second in first + 1..classes {
                let part = |of: usize, against: usize| {
                    let range = self.starts[of]..self.starts[of + 1];
                    let weights = &self.coefficients[against * self.likeness.count..][range.clone()];
                    weights.iter().zip(&likeness[range]).map(|(a, b)| f64::from(a * b)).sum::<f64>()
                };
                let sum = part(first, second - 1) + part(second, first) + f64::from(self.rho[number]);
                votes[if sum > 0.0 { first } else { second }] += 1;
                #[expect(clippy::cast_possible_truncation, reason = "scores are in single precision")]
                sums.push(sum as f32);
                number += 1;
            }
        }
    }
}

impl Kernel for Votes {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut scores = frame.take_cleared::<f32>(outputs[1]);
        let values = frame.values(inputs[0]);
        let classes = self.labels.len();
        let rows = self.rows.at(frame.rows);
        let mut likeness = Vec::with_capacity(self.likeness.count);
        let (mut sums, mut votes) = (Vec::new(), vec![0; classes]);
        let mut chosen = Vec::with_capacity(rows);
        let mut work = self.coupling.as_ref().map(Coupling::work);
        for row in 0..rows {
            self.likeness.write(self.likeness.row(values, row), &mut likeness);
            sums.clear();
            self.decide(&likeness, &mut sums, &mut votes);
            let most = votes.iter().copied().max().unwrap_or(0);
            chosen.push(votes.iter().position(|count| *count == most).unwrap_or(0));
            match (&self.coupling, &mut work) {
                (Some(coupling), Some(work)) => scores.extend_from_slice(coupling.probabilities(&sums, work)),
                _ => scores.extend_from_slice(&sums),
            }
        }
        if self.coupling.is_none() && classes == 2 {
            pairs(&mut scores, |sum| match self.transform {
                Transform::None => [-sum, sum],
                Transform::Logistic => [logistic(-sum), logistic(sum)],
                _ => [1.0 - sum, sum],
            });
        } else {
            let width = if self.coupling.is_some() { classes } else { self.rho.len().min(classes * (classes - 1) / 2) };
            scores.chunks_exact_mut(width).for_each(|row| self.transform.apply_to_sums(row));
        }
        self.labels.write(frame, outputs[0], chosen.iter().copied());
        frame.put(outputs[1], scores);
        Ok(())
    }
}
