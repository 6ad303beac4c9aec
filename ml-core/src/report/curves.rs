use super::{Axis, Figure, WIDTH, axis::Scale, clip_to, number, px, text_width};
use maud::{Markup, html};
use std::fmt::Write as _;

/// Curves beyond these are left out of a chart, since nobody tells more apart.
const MOST_CURVES: usize = 4;
/// A curve of more points is thinned to about as many.
const MOST_POINTS: usize = 400;

/// Lines or steps over two axes, such as a ROC curve, a calibration curve or a value over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    title: String,
    note: String,
    x: Axis,
    y: Axis,
    curves: Vec<Curve>,
    has_diagonal: bool,
    thresholds: Vec<(f64, String)>,
}

impl Curves {
    /// A chart without curves.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            x,
            y,
            curves: Vec::new(),
            has_diagonal: false,
            thresholds: Vec::new(),
        }
    }

    /// Adds a curve.
    #[must_use]
    pub fn curve(mut self, curve: Curve) -> Self {
        self.curves.push(curve);
        self
    }

    /// Draws the line y = x dashed, from 0 to 1: chance of a ROC curve, perfection of a calibration curve.
    #[must_use]
    pub fn diagonal(mut self) -> Self {
        self.has_diagonal = true;
        self
    }

    /// Draws a dashed line at a height.
    #[must_use]
    pub fn threshold(mut self, y: f64, label: impl Into<String>) -> Self {
        self.thresholds.push((y, label.into()));
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
        const PLOT: f64 = 250.0;
        let curves: Vec<_> = self.curves.iter().take(MOST_CURVES).map(|curve| (curve, curve.thinned())).collect();
        let points = || curves.iter().flat_map(|(_, points)| points.iter().copied());
        let diagonal = if self.has_diagonal { &[0.0, 1.0][..] } else { &[] };
        let thresholds = || self.thresholds.iter().filter(|(y, _)| y.is_finite());

        let y = Scale::new(
            &self.y,
            points().map(|point| point.1).chain(diagonal.iter().copied()).chain(thresholds().map(|line| line.0)),
            5.0,
            TOP + PLOT,
            -PLOT,
        );
        let y_ticks = y.ticks(&self.y);
        let left = y_ticks.iter().map(|(_, label)| text_width(label)).fold(20.0, f64::max) + 10.0;
        let width = WIDTH - left - 16.0;
        let x = Scale::new(&self.x, points().map(|point| point.0).chain(diagonal.iter().copied()), 6.0, left, width);

        let undefined: usize = self.curves.iter().map(Curve::undefined).sum();
        let mut note = self.note.clone();
        if undefined > 0 {
            let _ = write!(note, " {} undefined points are not drawn.", number::count(undefined as u64));
        }
        if self.curves.len() > MOST_CURVES {
            let _ = write!(note, " {} more curves are not shown.", self.curves.len() - MOST_CURVES);
        }
        let description = curves
            .iter()
            .map(|(curve, points)| {
                let name = clip_to(&curve.name, 40);
                match (points.first(), points.last()) {
                    (Some(first), Some(last)) => format!(
                        "{name}: from ({}, {}) to ({}, {})",
                        self.x.value(first.0),
                        self.y.value(first.1),
                        self.x.value(last.0),
                        self.y.value(last.1)
                    ),
                    _ => format!("{name}: {}", number::UNDEFINED),
                }
            })
            .collect::<Vec<_>>()
            .join("; ");

        Figure {
            id,
            title: &self.title,
            note: note.trim(),
            description,
            legend: curves.iter().enumerate().map(|(i, (curve, _))| (curve.name.as_str(), line(i))).collect(),
            height: TOP + PLOT + 42.0,
            body: html! {
                text.axis x="0" y="12" { (clip_to(&self.y.label, 80)) }
                @for (tick, label) in y_ticks {
                    @let at = y.at(tick);
                    line.grid x1=(px(left)) x2=(px(left + width)) y1=(px(at)) y2=(px(at)) {}
                    text.tick x=(px(left - 8.0)) y=(px(at + 4.5)) text-anchor="end" { (label) }
                }
                @for (tick, label) in x.ticks(&self.x) {
                    @let at = x.at(tick);
                    line.base x1=(px(at)) x2=(px(at)) y1=(px(TOP + PLOT)) y2=(px(TOP + PLOT + 4.0)) {}
                    text.tick x=(px(at)) y=(px(TOP + PLOT + 18.0)) text-anchor="middle" { (label) }
                }
                line.base x1=(px(left)) x2=(px(left + width)) y1=(px(TOP + PLOT)) y2=(px(TOP + PLOT)) {}
                text.axis x=(px(left + width)) y=(px(TOP + PLOT + 37.0)) text-anchor="end" { (clip_to(&self.x.label, 80)) }
                @if self.has_diagonal {
                    line.reference x1=(px(x.at(0.0))) y1=(px(y.at(0.0))) x2=(px(x.at(1.0))) y2=(px(y.at(1.0))) {}
                }
                @for (at, label) in thresholds() {
                    line.reference x1=(px(left)) x2=(px(left + width)) y1=(px(y.at(*at))) y2=(px(y.at(*at))) {}
                    text.tick x=(px(left + width)) y=(px(y.at(*at) - 5.0)) text-anchor="end" { (clip_to(label, 60)) }
                }
                @for (i, (curve, points)) in curves.iter().enumerate() {
                    path class={ "line " (line(i)) } d=(curve.path(points, &x, &y)) {}
                    // A few points are measurements to be seen; many are a line.
                    @if points.len() <= 24 && !curve.is_step {
                        @for point in points {
                            circle class={ "dot " (line(i)) } cx=(px(x.at(point.0))) cy=(px(y.at(point.1))) r="2.6" {}
                        }
                    }
                }
            },
        }
        .render()
    }
}

/// A named sequence of points, drawn in the order given.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
    is_step: bool,
}

impl Curve {
    /// Points joined by straight lines.
    #[must_use]
    pub fn line(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect(), is_step: false }
    }

    /// Values that hold until the next point, as of a cumulative distribution.
    #[must_use]
    pub fn step(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { is_step: true, ..Self::line(name, points) }
    }

    fn undefined(&self) -> usize {
        self.points.iter().filter(|point| !is_defined(point)).count()
    }

    /// The defined points; when there are too many, every n-th and the last.
    fn thinned(&self) -> Vec<(f64, f64)> {
        let points: Vec<_> = self.points.iter().copied().filter(is_defined).collect();
        let every = points.len().div_ceil(MOST_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        points.into_iter().enumerate().filter(|(i, _)| i % every == 0 || *i == last).map(|(_, point)| point).collect()
    }

    fn path(&self, points: &[(f64, f64)], x: &Scale, y: &Scale) -> String {
        let mut path = String::new();
        for (i, point) in points.iter().enumerate() {
            let (at_x, at_y) = (px(x.at(point.0)), px(y.at(point.1)));
            let _ = match (i, self.is_step) {
                (0, _) => write!(path, "M{at_x} {at_y}"),
                (_, true) => write!(path, "H{at_x}V{at_y}"),
                (_, false) => write!(path, "L{at_x} {at_y}"),
            };
        }
        path
    }
}

fn is_defined(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn line(series: usize) -> String {
    format!("l{}", series % MOST_CURVES + 1)
}
