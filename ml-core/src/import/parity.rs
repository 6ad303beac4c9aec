//! The comparison of a graph with the ensemble that it was written from.

use super::{
    FEATURES_INPUT, cuts,
    ensemble::{Ensemble, Link, Node, Raw},
    graph::{LABEL, PREDICTION},
};
use crate::{
    Error, ErrorKind, InferenceRuntime as _, Result, Seed, Tensor, Tensors,
    bundle::GOLDEN_TOLERANCE,
    model::PROBABILITIES,
    onnx::OnnxModel,
    runtime::{LoadOptions, native::NativeRuntime},
    seed::RandomStream,
};

/// What was found.
pub(super) struct Parity {
    /// Rows compared.
    pub(super) rows: usize,
    /// The greatest difference, relative where the output is above 1.
    pub(super) difference: f64,
    /// Rows to be replayed, where some are well conditioned, with what the ensemble gives in double precision.
    pub(super) golden: Option<(Tensors, Tensors)>,
}

/// Compares the graph, run natively, with the ensemble, evaluated row by row in double precision in the terms of its library.
///
/// # Errors
/// [`Internal`](crate::ErrorKind::Internal) when they differ by more than single precision explains.
pub(super) fn check(ensemble: &Ensemble, model: &OnnxModel) -> Result<Parity> {
    let width = ensemble.features.len();
    let rows = (MAX_VALUES / width).clamp(GOLDEN_ROWS, ROWS);
    let values = sample(ensemble, rows);
    let inputs =
        |values: Vec<f32>| Tensors::new().with(FEATURES_INPUT, Tensor::new([values.len() / width, width], values)?);
    let outputs = match NativeRuntime.load(model, &LoadOptions::default()) {
        Ok(loaded) => Some(loaded.model.predict(&inputs(values.clone())?)?),
        // Another runtime may know the operator, and replays what is kept here.
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        Err(error) => return Err(error),
    };
    let given = outputs.as_ref().map(|outputs| Given::of(ensemble, outputs)).transpose()?;
    let mut parity = Parity { rows: if given.is_some() { rows } else { 0 }, difference: 0.0, golden: None };
    let mut kept: Vec<(&[f32], Expected)> = Vec::new();
    for (at, row) in values.chunks_exact(width).enumerate() {
        let expected = Expected::of(ensemble, row)?;
        // What is replayed has to hold in any order of summing up.
        let mut difference = expected.rounding.of_outputs / 2.0;
        if let Some(given) = &given {
            difference = expected.difference(given, at).map_err(|error| error.with("row", at))?;
            parity.difference = parity.difference.max(difference);
        }
        if difference <= GOLDEN_TOLERANCE / 4.0 && expected.is_clear && kept.len() < GOLDEN_ROWS {
            kept.push((row, expected));
        }
    }
    if !kept.is_empty() {
        let outputs = expected_outputs(kept.iter().map(|(_, expected)| expected))?;
        parity.golden = Some((inputs(kept.iter().flat_map(|(row, _)| *row).copied().collect())?, outputs));
    }
    Ok(parity)
}

/// Rows compared, where they are not too wide.
const ROWS: usize = 256;

/// Values in all rows together.
const MAX_VALUES: usize = 1 << 20;

/// Rows kept for the replay at every load.
const GOLDEN_ROWS: usize = 8;

/// What a row gives in double precision, in the end rounded to single.
struct Expected {
    values: Vec<f32>,
    /// The class, and how far its score is above the next.
    label: Option<(i64, f64)>,
    rounding: Rounding,
    /// Whether no rounding turns one class into another.
    is_clear: bool,
}

impl Expected {
    fn of(ensemble: &Ensemble, row: &[f32]) -> Result<Self> {
        let raw = ensemble.raw(row);
        if raw.sizes.iter().any(|size| *size > f64::from(f32::MAX) / 2.0) {
            return Err(Error::unsupported("the leaves of the model are too large for single precision"));
        }
        let rounding = Rounding::of(ensemble, &raw);
        let label = label(ensemble.link, &raw.scores);
        let margin = match (label, ensemble.link) {
            (Some((_, margin)), _) => margin,
            (None, Link::Step) => raw.scores.iter().fold(f64::INFINITY, |least, score| least.min(score.abs())),
            (None, _) => f64::INFINITY,
        };
        #[expect(clippy::cast_possible_truncation, reason = "outputs are in single precision")]
        let values = ensemble.link.apply(&raw.scores).into_iter().map(|value| value as f32).collect();
        Ok(Self { values, label, is_clear: margin > 10.0 * rounding.of_scores, rounding })
    }

    /// How far the graph is from it.
    fn difference(&self, given: &Given<'_>, at: usize) -> Result<f64> {
        let differs = || Error::internal("the graph does not give what the model gives");
        if let (Some((label, _)), Some(labels), true) = (self.label, given.labels, self.is_clear)
            && labels[at] != label
        {
            return Err(differs().with("expected_label", label).with("got_label", labels[at]));
        }
        let mut greatest = 0.0_f64;
        for (column, (expected, got)) in self.values.iter().zip(given.row(at)).enumerate() {
            let (wide, got) = (f64::from(*expected), f64::from(*got));
            let apart = if wide == got { 0.0 } else { (wide - got).abs() / wide.abs().max(1.0) };
            if apart.is_nan() || apart > GOLDEN_TOLERANCE + self.rounding.of_outputs {
                return Err(differs().with("column", column).with("expected", expected).with("got", got));
            }
            greatest = greatest.max(apart);
        }
        Ok(greatest)
    }
}

fn expected_outputs<'a>(rows: impl ExactSizeIterator<Item = &'a Expected> + Clone) -> Result<Tensors> {
    let values: Vec<f32> = rows.clone().flat_map(|row| &row.values).copied().collect();
    let values = Tensor::new([rows.len(), values.len() / rows.len()], values)?;
    let labels: Vec<i64> = rows.filter_map(|row| row.label).map(|(label, _)| label).collect();
    if labels.is_empty() {
        Tensors::new().with(PREDICTION, values)
    } else {
        Tensors::new().with(LABEL, Tensor::vector(labels))?.with(PROBABILITIES, values)
    }
}

/// What the graph gave.
struct Given<'a> {
    labels: Option<&'a [i64]>,
    values: &'a [f32],
    width: usize,
}

impl<'a> Given<'a> {
    fn of(ensemble: &Ensemble, outputs: &'a Tensors) -> Result<Self> {
        Ok(match ensemble.link.classes(ensemble.scores) {
            Some(classes) => Self {
                labels: Some(outputs.require(LABEL)?.values()?),
                values: outputs.require(PROBABILITIES)?.values()?,
                width: classes,
            },
            None => Self { labels: None, values: outputs.require(PREDICTION)?.values()?, width: ensemble.scores },
        })
    }

    fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..][..self.width]
    }
}

/// The class of a row, the first of equals, and how far its score is above the next.
fn label(link: Link, scores: &[f64]) -> Option<(i64, f64)> {
    match link {
        Link::Logistic { .. } => Some((i64::from(scores[0] > 0.0), scores[0].abs())),
        Link::Softmax | Link::OneVersusAll { .. } => {
            let mut best = (0, 0_i64, f64::INFINITY);
            for (at, score) in (0..).zip(scores).skip(1) {
                let greatest = scores[best.0];
                best = if *score > greatest {
                    (usize::try_from(at).ok()?, at, score - greatest)
                } else {
                    (best.0, best.1, best.2.min(greatest - score))
                };
            }
            Some((best.1, best.2))
        }
        _ => None,
    }
}

/// How far sums in single precision may be from those in double.
struct Rounding {
    of_scores: f64,
    /// Relative where the output is above 1.
    of_outputs: f64,
}

impl Rounding {
    /// Half a unit in the last place a summand, of what the sum has grown to at most; errors of both signs mostly cancel.
    fn of(ensemble: &Ensemble, raw: &Raw) -> Self {
        let slope = match ensemble.link {
            Link::Sigmoid { slope } | Link::Logistic { slope } | Link::OneVersusAll { slope } => slope,
            _ => 1.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "far fewer trees than 2^53")]
        let summands = (ensemble.trees.len() + 1) as f64;
        let size = raw.sizes.iter().copied().fold(0.0, f64::max);
        let of_scores = f64::from(f32::EPSILON) * (2.0 + summands.sqrt()) * size;
        let of_outputs = match ensemble.link {
            Link::SignedSquare => 2.0 * of_scores + of_scores * of_scores,
            _ => of_scores * slope.max(1.0),
        };
        Self { of_scores, of_outputs }
    }
}

/// Rows at and around the places where branches change their mind, with missing values, zeros and infinities between them.
fn sample(ensemble: &Ensemble, rows: usize) -> Vec<f32> {
    let mut random = Seed::new(0).stream("import.parity");
    let places = places(ensemble, &mut random);
    let width = ensemble.features.len();
    let mut values = vec![f32::NAN; width];
    values.extend(vec![0.0; width]);
    for _ in 2..rows {
        values.extend(places.iter().map(|places| value(places, &mut random)));
    }
    values
}

fn value(places: &[f32], random: &mut RandomStream) -> f32 {
    match random.below(20) {
        0 | 1 => f32::NAN,
        2 => 0.0,
        3 => -0.0,
        4 => [f32::INFINITY, f32::NEG_INFINITY, 1e-36, -0.5][random.below(4)],
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        5 | 6 => (random.next_f64() * 20.0 - 10.0) as f32,
        #[expect(clippy::cast_precision_loss, reason = "small")]
        7 => random.below(40) as f32,
        _ if places.is_empty() => 1.0,
        kind => {
            let place = places[random.below(places.len())];
            if kind.is_multiple_of(2) { place } else { place.next_up() }
        }
    }
}

/// For each column some of the places at which it is asked for, any as likely as any other.
fn places(ensemble: &Ensemble, random: &mut RandomStream) -> Vec<Vec<f32>> {
    const KEPT: usize = 32;
    let mut places: Vec<Vec<f32>> = vec![Vec::new(); ensemble.features.len()];
    let mut met = vec![0_usize; ensemble.features.len()];
    for node in ensemble.trees.iter().flat_map(|tree| &tree.nodes) {
        let Node::Branch { feature, split, .. } = node else { continue };
        for place in cuts::candidates(split) {
            met[*feature] += 1;
            if places[*feature].len() < KEPT {
                places[*feature].push(place);
            } else if let Some(kept) = places[*feature].get_mut(random.below(met[*feature])) {
                *kept = place;
            }
        }
    }
    places
}
