use super::{Axis, Figure, WIDTH, axis::Scale, clip_to, number, px, text_width};
use maud::{Markup, html};

/// Groups beyond these are left out of a chart, and counted below it.
const MOST_GROUPS: usize = 40;
/// The palette has this many colors; a later series starts again.
const COLORS: usize = 4;

/// Horizontal bars from zero, one or more a group, with intervals as whiskers.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    title: String,
    note: String,
    axis: Axis,
    series: Vec<String>,
    groups: Vec<(String, Vec<Bar>)>,
    reference: Option<(f64, String)>,
}

impl Bars {
    /// A chart without bars.
    #[must_use]
    pub fn new(title: impl Into<String>, axis: Axis) -> Self {
        Self { title: title.into(), note: String::new(), axis, series: Vec::new(), groups: Vec::new(), reference: None }
    }

    /// Names the bars within each group, in order.
    #[must_use]
    pub fn series(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.series = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a group of one bar.
    #[must_use]
    pub fn bar(self, label: impl Into<String>, bar: Bar) -> Self {
        self.group(label, [bar])
    }

    /// Adds a group with one bar a series.
    #[must_use]
    pub fn group(mut self, label: impl Into<String>, bars: impl IntoIterator<Item = Bar>) -> Self {
        self.groups.push((label.into(), bars.into_iter().collect()));
        self
    }

    /// Draws a dashed line across all bars, such as a threshold or the overall rate.
    #[must_use]
    pub fn reference(mut self, value: f64, label: impl Into<String>) -> Self {
        self.reference = Some((value, label.into()));
        self
    }

    /// Adds a line below the chart, such as what the whiskers are.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn render(&self, id: usize) -> Markup {
        let groups = &self.groups[..self.groups.len().min(MOST_GROUPS)];
        let bars = || groups.iter().flat_map(|(_, bars)| bars);
        let reference = self.reference.as_ref().filter(|(value, _)| value.is_finite());
        let start = if reference.is_some() { 22.0 } else { 8.0 };

        let labels: Vec<_> = groups.iter().map(|(label, _)| clip_to(label, 26)).collect();
        let left = labels.iter().map(|label| text_width(label)).fold(40.0, f64::max).min(210.0) + 10.0;
        let right = bars().map(|bar| text_width(&self.axis.value(bar.value))).fold(30.0, f64::max) + 14.0;
        let ends = bars().flat_map(|bar| {
            let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
            [bar.value, low, high]
        });
        let scale = Scale::new(
            &self.axis,
            ends.chain(reference.map(|(value, _)| *value)).chain([0.0]),
            5.0,
            left,
            WIDTH - left - right,
        );

        let thickness = if self.series.len() > 1 { 12.0 } else { 15.0 };
        let (inner_gap, outer_gap) = (3.0, 9.0);
        let mut y = start;
        let placed: Vec<_> = groups
            .iter()
            .zip(&labels)
            .map(|((full, bars), label)| {
                let top = y;
                let rows = bars.len().max(1) as f64;
                let height = rows * thickness + (rows - 1.0) * inner_gap;
                y += height + outer_gap;
                (full, label, bars, top, height)
            })
            .collect();
        let bottom = y - outer_gap + 8.0;

        let left_out = self.groups.len() - groups.len();
        let note = match left_out {
            0 => self.note.clone(),
            n => format!("{} {} more groups are not shown.", self.note, number::count(n as u64)).trim().to_owned(),
        };
        let description = groups
            .iter()
            .flat_map(|(label, bars)| bars.iter().map(move |bar| (label, bar)))
            .map(|(label, bar)| format!("{}: {}", clip_to(label, 26), self.axis.value(bar.value)))
            .collect::<Vec<_>>()
            .join("; ");

        Figure {
            id,
            title: &self.title,
            note: &note,
            description,
            legend: self.series.iter().enumerate().map(|(i, name)| (name.as_str(), fill(i))).collect(),
            height: bottom + 42.0,
            body: html! {
                @for (tick, label) in scale.ticks(&self.axis) {
                    @let x = px(scale.at(tick));
                    line.grid x1=(x) x2=(x) y1=(px(start - 6.0)) y2=(px(bottom)) {}
                    text.tick x=(x) y=(px(bottom + 16.0)) text-anchor="middle" { (label) }
                }
                text.axis x=(px(left)) y=(px(bottom + 35.0)) { (clip_to(&self.axis.label, 80)) }
                @for (full, label, bars, top, height) in placed {
                    text.label x=(px(left - 10.0)) y=(px(top + height / 2.0 + 4.5)) text-anchor="end" {
                        @if full.chars().count() > 26 { title { (clip_to(full, 200)) } }
                        (label)
                    }
                    @for (i, bar) in bars.iter().enumerate() {
                        @let at = top + i as f64 * (thickness + inner_gap);
                        (bar.render(i, &scale, at, thickness))
                        text.value x=(px(WIDTH)) y=(px(at + thickness / 2.0 + 4.5)) text-anchor="end" { (self.axis.value(bar.value)) }
                    }
                }
                @let zero = px(scale.at(0.0));
                line.base x1=(zero) x2=(zero) y1=(px(start - 6.0)) y2=(px(bottom)) {}
                @if let Some((value, label)) = reference {
                    @let at = scale.at(*value);
                    line.reference x1=(px(at)) x2=(px(at)) y1=(px(start - 6.0)) y2=(px(bottom)) {}
                    text.tick x=(px(at)) y="11" text-anchor=(anchor(at, left, WIDTH - right)) { (clip_to(label, 60)) }
                }
            },
        }
        .render()
    }
}

/// One bar from zero to its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    value: f64,
    interval: Option<(f64, f64)>,
    is_muted: bool,
}

impl Bar {
    /// A bar without an interval.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self { value, interval: None, is_muted: false }
    }

    /// The same with a whisker from `low` to `high`.
    #[must_use]
    pub fn interval(mut self, low: f64, high: f64) -> Self {
        self.interval = Some((low, high));
        self
    }

    /// The same drawn pale: shown, but not to be compared.
    #[must_use]
    pub fn muted(mut self) -> Self {
        self.is_muted = true;
        self
    }

    fn render(&self, series: usize, scale: &Scale, top: f64, thickness: f64) -> Markup {
        let (from, to) = (scale.at(0.0).min(scale.at(self.value)), scale.at(0.0).max(scale.at(self.value)));
        let whisker = self.interval.filter(|(low, high)| low.is_finite() && high.is_finite());
        html! {
            @if self.value.is_finite() {
                rect class={ (fill(series)) @if self.is_muted { " muted" } }
                    x=(px(from)) y=(px(top)) width=(px(to - from)) height=(px(thickness)) {}
            }
            @if let Some((low, high)) = whisker {
                @let (low, high, middle) = (scale.at(low), scale.at(high), top + thickness / 2.0);
                path.whisker d={
                    "M" (px(low)) " " (px(middle)) "H" (px(high))
                    "M" (px(low)) " " (px(middle - 3.5)) "v7M" (px(high)) " " (px(middle - 3.5)) "v7"
                } {}
            }
        }
    }
}

fn fill(series: usize) -> String {
    format!("f{}", series % COLORS + 1)
}

/// Where a text at `x` has to start in order to stay inside.
fn anchor(x: f64, left: f64, right: f64) -> &'static str {
    match (x - left) / (right - left) {
        share if share < 0.3 => "start",
        share if share > 0.7 => "end",
        _ => "middle",
    }
}
