use super::{Axis, Figure, WIDTH, axis::Scale, clip_to, number, px, text_width};
use maud::{Markup, html};
use std::fmt::Write as _;

/// More bins than these are merged two by two until they fit.
const MOST_BINS: usize = 100;

/// Two distributions over the same bins: what was expected as an area, what came as a line.
///
/// Bins are drawn equally wide. Where they are not (quantile bins, open ends), the edges are written below them.
#[derive(Debug, Clone, PartialEq)]
pub struct Histograms {
    title: String,
    note: String,
    label: String,
    edges: Vec<f64>,
    reference: (String, Vec<f64>),
    current: (String, Vec<f64>),
}

impl Histograms {
    /// A chart over bins; `n` bins have `n + 1` edges in rising order, the outer ones may be infinite.
    #[must_use]
    pub fn new(title: impl Into<String>, x_label: impl Into<String>, edges: Vec<f64>) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            label: x_label.into(),
            edges,
            reference: ("reference".into(), Vec::new()),
            current: ("current".into(), Vec::new()),
        }
    }

    /// The distribution to compare with: a count or a share per bin, shown as shares.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>, counts: Vec<f64>) -> Self {
        self.reference = (name.into(), counts);
        self
    }

    /// The distribution that came: a count or a share per bin, shown as shares.
    #[must_use]
    pub fn current(mut self, name: impl Into<String>, counts: Vec<f64>) -> Self {
        self.current = (name.into(), counts);
        self
    }

    /// Adds a line below the chart.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn render(&self, id: usize) -> Markup {
        const TOP: f64 = 30.0;
        const PLOT: f64 = 190.0;
        let (mut edges, mut reference, mut current) =
            (self.edges.clone(), self.reference.1.clone(), self.current.1.clone());
        let bins = edges.len().saturating_sub(1).max(1);
        reference.resize(bins, 0.0);
        current.resize(bins, 0.0);
        while reference.len() > MOST_BINS {
            let last = edges.last().copied();
            edges = edges.into_iter().step_by(2).collect();
            if reference.len() % 2 == 1 {
                edges.extend(last);
            }
            reference = pairs(&reference);
            current = pairs(&current);
        }
        let (reference, current) = (shares(&reference), shares(&current));

        let axis = Axis::new("share of rows").percent();
        let y = Scale::new(&axis, reference.iter().chain(&current).copied().chain([0.0]), 4.0, TOP + PLOT, -PLOT);
        let y_ticks = y.ticks(&axis);
        let left = y_ticks.iter().map(|(_, label)| text_width(label)).fold(20.0, f64::max) + 10.0;
        let width = WIDTH - left - 20.0;
        let slot = width / reference.len() as f64;
        let outline = |shares: &[f64]| {
            let mut path = format!("M{} {}", px(left), px(TOP + PLOT));
            for (i, share) in shares.iter().enumerate() {
                let _ = write!(path, "V{}H{}", px(y.at(*share)), px(left + (i + 1) as f64 * slot));
            }
            let _ = write!(path, "V{}", px(TOP + PLOT));
            path
        };
        let description = reference
            .iter()
            .zip(&current)
            .enumerate()
            .map(|(i, (expected, got))| {
                format!("bin {}: {} and {}", i + 1, number::percent(*expected, 1), number::percent(*got, 1))
            })
            .collect::<Vec<_>>()
            .join("; ");

        Figure {
            id,
            title: &self.title,
            note: &self.note,
            description,
            legend: vec![(self.reference.0.as_str(), "area".into()), (self.current.0.as_str(), "l1".into())],
            height: TOP + PLOT + 42.0,
            body: html! {
                text.axis x="0" y="12" { (axis.label) }
                @for (tick, label) in y_ticks {
                    @let at = y.at(tick);
                    line.grid x1=(px(left)) x2=(px(left + width)) y1=(px(at)) y2=(px(at)) {}
                    text.tick x=(px(left - 8.0)) y=(px(at + 4.5)) text-anchor="end" { (label) }
                }
                path.area d={ (outline(&reference)) "Z" } {}
                path class="line l1" d=(outline(&current)) {}
                line.base x1=(px(left)) x2=(px(left + width)) y1=(px(TOP + PLOT)) y2=(px(TOP + PLOT)) {}
                @for (at, label) in edge_labels(&edges, left, width) {
                    line.base x1=(px(at)) x2=(px(at)) y1=(px(TOP + PLOT)) y2=(px(TOP + PLOT + 4.0)) {}
                    text.tick x=(px(at)) y=(px(TOP + PLOT + 18.0)) text-anchor="middle" { (label) }
                }
                text.axis x=(px(left + width)) y=(px(TOP + PLOT + 37.0)) text-anchor="end" { (clip_to(&self.label, 80)) }
            },
        }
        .render()
    }
}

/// Round ticks over bins of one width, otherwise as many edges as can be read.
fn edge_labels(edges: &[f64], left: f64, width: f64) -> Vec<(f64, String)> {
    let bins = edges.len().saturating_sub(1);
    let (Some(&first), Some(&last)) = (edges.first(), edges.last()) else { return Vec::new() };
    let each = (last - first) / bins as f64;
    let is_even = each.is_finite()
        && each > 0.0
        && edges.iter().enumerate().all(|(i, edge)| (edge - (first + i as f64 * each)).abs() <= each * 1e-3);
    if is_even {
        let axis = Axis::new("").range(first, last);
        let scale = Scale::new(&axis, std::iter::empty(), 6.0, left, width);
        return scale.ticks(&axis).into_iter().map(|(tick, label)| (scale.at(tick), label)).collect();
    }
    let labels: Vec<_> = edges
        .iter()
        .enumerate()
        .filter(|(_, edge)| edge.is_finite())
        .map(|(i, edge)| (left + i as f64 / bins as f64 * width, trimmed(number::short(*edge))))
        .collect();
    let mut end = f64::NEG_INFINITY;
    labels
        .into_iter()
        .filter(|(at, label)| {
            let half = text_width(label) / 2.0;
            let fits = at - half >= end;
            if fits {
                end = at + half + 8.0;
            }
            fits
        })
        .collect()
}

/// Without the zeros that end a fraction: an edge is a name, not a measurement.
fn trimmed(number: String) -> String {
    if number.contains('.') && !number.contains('e') {
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        number
    }
}

fn pairs(values: &[f64]) -> Vec<f64> {
    values.chunks(2).map(|pair| pair.iter().sum()).collect()
}

/// Counts as shares of their sum; what is no count is none.
fn shares(counts: &[f64]) -> Vec<f64> {
    let clean = |count: f64| if count.is_finite() && count > 0.0 { count.min(1e300) } else { 0.0 };
    let sum: f64 = counts.iter().map(|count| clean(*count)).sum();
    counts.iter().map(|count| if sum > 0.0 && sum.is_finite() { clean(*count) / sum } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_or_are_none() {
        assert_eq!(shares(&[1.0, 3.0, f64::NAN, -2.0]), [0.25, 0.75, 0.0, 0.0]);
        assert_eq!(shares(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn uneven_edges_are_written_and_even_ones_are_ticked() {
        let even: Vec<_> = edge_labels(&[0.0, 0.5, 1.0], 0.0, 600.0).into_iter().map(|label| label.1).collect();
        assert_eq!(even, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let open = edge_labels(&[f64::NEG_INFINITY, 3.0, 10.0, f64::INFINITY], 0.0, 600.0);
        assert_eq!(open, [(200.0, "3".to_owned()), (400.0, "10".to_owned())]);
    }
}
