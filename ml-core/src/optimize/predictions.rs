//! The outputs of a model over many rows, as measures read them.

use crate::{
    Error, Result, Tensors,
    bundle::floats,
    model::PROBABILITIES,
    tensor::{DType, TensorData},
};

/// What a model gave for all rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Predictions {
    outputs: Vec<Output>,
}

#[derive(Debug, Clone)]
struct Output {
    name: String,
    /// Elements a row.
    width: usize,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f64>),
    Classes(Vec<String>),
}

impl Predictions {
    /// Adds the outputs of another batch of so many rows.
    pub(super) fn push(&mut self, rows: usize, outputs: &Tensors) -> Result<()> {
        if self.outputs.is_empty() {
            self.outputs = outputs
                .iter()
                .map(|(name, tensor)| Output {
                    name: name.into(),
                    width: tensor.len().checked_div(rows).unwrap_or(0),
                    values: match tensor.dtype() {
                        DType::Fp16 | DType::Bf16 | DType::Fp32 | DType::Fp64 => Values::Floats(Vec::new()),
                        _ => Values::Classes(Vec::new()),
                    },
                })
                .collect();
        }
        for output in &mut self.outputs {
            let tensor = outputs.require(&output.name)?;
            match &mut output.values {
                Values::Floats(values) => values.extend(
                    floats(tensor.data()).ok_or_else(|| Error::internal("an output changed its type between calls"))?,
                ),
                Values::Classes(values) => values.extend(texts(tensor.data())),
            }
        }
        Ok(())
    }

    /// The class of each row: an output of whole numbers or text with one element a row, else the place of the largest of
    /// the scores.
    pub(super) fn classes(&self) -> Option<Vec<String>> {
        let label = self.outputs.iter().find_map(|output| match &output.values {
            Values::Classes(classes) if output.width == 1 => Some(classes.clone()),
            _ => None,
        });
        label.or_else(|| {
            let (scores, width) = self.scores()?;
            (width > 1).then(|| scores.chunks_exact(width).map(|row| largest(row).to_string()).collect())
        })
    }

    /// The score of the second of two classes, or the only score.
    pub(super) fn positive_scores(&self) -> Option<Vec<f64>> {
        let (scores, width) = self.scores()?;
        (1..=2).contains(&width).then(|| scores.chunks_exact(width).map(|row| row[width - 1]).collect())
    }

    /// One number a row.
    pub(super) fn numbers(&self) -> Option<&[f64]> {
        self.scores().filter(|(_, width)| *width == 1).map(|(scores, _)| scores)
    }

    /// The smallest cosine of an output with the original's. NaN in the same places is left out; elsewhere the cosine is NaN.
    pub(super) fn cosine(&self, original: &Self) -> Option<f64> {
        self.pairs(original)
            .map(|(got, expected)| {
                let mut sums = (0.0, 0.0, 0.0);
                for (a, b) in got.iter().zip(expected).filter(|(a, b)| !(a.is_nan() && b.is_nan())) {
                    sums = (sums.0 + a * b, sums.1 + a * a, sums.2 + b * b);
                }
                // Two outputs of zeros point the same way; one of zeros points nowhere.
                if sums.1 == 0.0 && sums.2 == 0.0 { 1.0 } else { sums.0 / (sums.1.sqrt() * sums.2.sqrt()) }
            })
            .reduce(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) })
    }

    /// The largest difference of a number from the original's; NaN where only one of them is NaN.
    pub(super) fn max_difference(&self, original: &Self) -> Option<f64> {
        self.pairs(original)
            .map(|(got, expected)| {
                let difference = |(a, b): (&f64, &f64)| {
                    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() }
                };
                got.iter().zip(expected).map(difference).fold(0.0, larger)
            })
            .reduce(larger)
    }

    /// The outputs of floats, with those of the original.
    fn pairs<'a>(&'a self, original: &'a Self) -> impl Iterator<Item = (&'a [f64], &'a [f64])> {
        self.outputs.iter().zip(&original.outputs).filter_map(|(got, expected)| match (&got.values, &expected.values) {
            (Values::Floats(got), Values::Floats(expected)) => Some((got.as_slice(), expected.as_slice())),
            _ => None,
        })
    }

    /// The scores of a classifier under the name that this family gives them, else the first output of floats.
    fn scores(&self) -> Option<(&[f64], usize)> {
        let scores = |output: &'_ Output| match &output.values {
            Values::Floats(values) => Some((output.name == PROBABILITIES, output.width)).filter(|_| !values.is_empty()),
            Values::Classes(_) => None,
        };
        let named = self.outputs.iter().find(|output| scores(output).is_some_and(|(named, _)| named));
        let found = named.or_else(|| self.outputs.iter().find(|output| scores(output).is_some()))?;
        match &found.values {
            Values::Floats(values) => Some((values, found.width)),
            Values::Classes(_) => None,
        }
    }
}

/// NaN counts as the largest.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The place of the largest number, the first of equals.
fn largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (at, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = at;
        }
    }
    best
}

fn texts(data: &TensorData) -> Vec<String> {
    macro_rules! printed {
        ($values:expr) => {
            $values.iter().map(ToString::to_string).collect()
        };
    }
    match data {
        TensorData::Bool(values) => values.iter().map(|value| u8::from(*value).to_string()).collect(),
        TensorData::Uint8(values) => printed!(values),
        TensorData::Uint16(values) => printed!(values),
        TensorData::Uint32(values) => printed!(values),
        TensorData::Uint64(values) => printed!(values),
        TensorData::Int8(values) => printed!(values),
        TensorData::Int16(values) => printed!(values),
        TensorData::Int32(values) => printed!(values),
        TensorData::Int64(values) => printed!(values),
        TensorData::Fp16(values) => printed!(values),
        TensorData::Bf16(values) => printed!(values),
        TensorData::Fp32(values) => printed!(values),
        TensorData::Fp64(values) => printed!(values),
        TensorData::Bytes(values) => values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    fn of(scores: &[f32]) -> Predictions {
        let mut predictions = Predictions::default();
        let outputs = Tensors::new()
            .with("other", Tensor::column(vec![7.0_f32; scores.len() / 2]))
            .and_then(|outputs| outputs.with(PROBABILITIES, Tensor::new([scores.len() / 2, 2], scores.to_vec())?))
            .expect("outputs");
        predictions.push(scores.len() / 2, &outputs).expect("outputs");
        predictions
    }

    #[test]
    fn classes_are_those_of_the_probabilities_and_the_first_of_equals() {
        assert_eq!(of(&[0.25, 0.75, 0.5, 0.5]).classes(), Some(vec!["1".into(), "0".into()]));
        assert_eq!(of(&[0.25, 0.75]).positive_scores(), Some(vec![0.75]));
    }

    #[test]
    fn nan_where_the_original_has_a_number_is_never_close() {
        let (number, nan) = (of(&[0.5, 0.5]), of(&[0.5, f32::NAN]));
        assert!(nan.cosine(&number).expect("floats").is_nan());
        assert!(nan.max_difference(&number).expect("floats").is_nan());
        assert_eq!(nan.max_difference(&nan), Some(0.0));
        assert!((nan.cosine(&nan).expect("floats") - 1.0).abs() < 1e-12);
    }
}
