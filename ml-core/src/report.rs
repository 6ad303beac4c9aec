//! Self-contained report pages made of values: text, key facts, tables and charts, rendered as one HTML file.
//!
//! A page needs no script, no network and no file beside it; it follows the reader's light or dark scheme, and names that
//! come from data are escaped. Every part is bounded, so that no input makes a page too big to open: rows, bars and
//! points beyond the limits are left out, and the page says how many.
//!
//! ```
//! use ml_core::report::{Axis, Bar, Bars, Cell, Column, Page, Section, Table, Tone};
//!
//! let table = Table::new([Column::text("Group"), Column::number("Rows"), Column::number("Selected")])
//!     .row([Cell::text("A"), Cell::count(1_200), Cell::percent(0.31, 1)])
//!     .row([Cell::text("B<script>"), Cell::count(800), Cell::percent(f64::NAN, 1).tone(Tone::Warn)]);
//! let chart = Bars::new("Selection rate by group", Axis::new("selection rate").percent())
//!     .bar("A", Bar::new(0.31).interval(0.28, 0.34))
//!     .bar("B", Bar::new(0.22).interval(0.19, 0.25));
//! let page = Page::new("Audit", "flights, January 2013")
//!     .section(Section::new("Selection").text("Who is selected.").table(table).chart(chart));
//!
//! let html = page.render();
//! assert!(html.contains("B&lt;script&gt;") && html.contains("undefined"));
//! ```

mod axis;
mod bars;
mod curves;
mod flow;
mod histograms;
pub mod number;
mod style;
mod table;

pub use axis::Axis;
pub use bars::{Bar, Bars};
pub use curves::{Curve, Curves};
pub use flow::{Flow, Step};
pub use histograms::Histograms;
pub use table::{Align, Cell, Column, Table};

use maud::{DOCTYPE, Markup, html};

/// One page: a title and sections.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// What the page is about.
    pub title: String,
    /// One line below the title: data, period, version.
    pub subtitle: String,
    /// The sections, in order.
    pub sections: Vec<Section>,
}

impl Page {
    /// A page without sections.
    #[must_use]
    pub fn new(title: impl Into<String>, subtitle: impl Into<String>) -> Self {
        Self { title: title.into(), subtitle: subtitle.into(), sections: Vec::new() }
    }

    /// Adds a section.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// Writes the page as one HTML document in UTF-8.
    #[must_use]
    pub fn render(&self) -> String {
        let mut ids = 0;
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // Even if an escape were forgotten, nothing but this style would be obeyed.
                    meta http-equiv="Content-Security-Policy" content=(style::content_security_policy());
                    title { (clip(&self.title)) }
                    style { (maud::PreEscaped(style::SHEET)) }
                }
                body {
                    main {
                        header {
                            h1 { (clip(&self.title)) }
                            @if !self.subtitle.is_empty() { p.subtitle { (clip(&self.subtitle)) } }
                        }
                        @for section in &self.sections { (section.render(&mut ids)) }
                    }
                }
            }
        };
        markup.into_string()
    }
}

/// A heading and what follows it, in the order in which it was added.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// The parts, in order.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section without parts.
    #[must_use]
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), blocks: Vec::new() }
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(self, paragraph: impl Into<String>) -> Self {
        self.block(Block::Text(paragraph.into()))
    }

    /// Adds a row of key facts, the few numbers to be read first.
    #[must_use]
    pub fn facts(self, facts: impl IntoIterator<Item = Fact>) -> Self {
        self.block(Block::Facts(facts.into_iter().collect()))
    }

    /// Adds a table.
    #[must_use]
    pub fn table(self, table: Table) -> Self {
        self.block(Block::Table(table))
    }

    /// Adds a chart.
    #[must_use]
    pub fn chart(self, chart: impl Into<Chart>) -> Self {
        self.block(Block::Chart(chart.into()))
    }

    /// Adds a part of any kind.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    fn render(&self, ids: &mut usize) -> Markup {
        html! {
            section {
                @if !self.heading.is_empty() { h2 { (clip(&self.heading)) } }
                @for block in &self.blocks {
                    @match block {
                        Block::Text(text) => p { (text) },
                        Block::Facts(facts) => dl.facts { @for fact in facts { (fact.render()) } },
                        Block::Table(table) => (table.render()),
                        Block::Chart(chart) => (chart.render({ *ids += 1; *ids })),
                    }
                }
            }
        }
    }
}

/// One part of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A row of key facts.
    Facts(Vec<Fact>),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Chart),
}

/// A number with its name, set large.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// The value as text; see [`number`].
    pub value: String,
    /// How it is to be taken.
    pub tone: Tone,
}

impl Fact {
    /// A fact that is neither good nor bad.
    #[must_use]
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), tone: Tone::Neutral }
    }

    /// The same with another tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn render(&self) -> Markup {
        html! {
            div {
                dt { (clip(&self.label)) }
                dd class=[self.tone.class()] { (self.tone.mark()) (clip(&self.value)) }
            }
        }
    }
}

/// How a value is to be taken; shown by color, weight and a mark, never by color alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tone {
    /// A plain fact.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Not as it should be.
    Bad,
}

impl Tone {
    fn class(self) -> Option<&'static str> {
        match self {
            Self::Neutral => None,
            Self::Good => Some("good"),
            Self::Warn => Some("warn"),
            Self::Bad => Some("bad"),
        }
    }

    fn mark(self) -> Markup {
        let (mark, meaning) = match self {
            Self::Neutral => return Markup::default(),
            Self::Good => ("✓", "good: "),
            Self::Warn => ("!", "to be looked at: "),
            Self::Bad => ("✕", "bad: "),
        };
        html! { span.mark aria-hidden="true" { (mark) } span.aloud { (meaning) } }
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Chart {
    /// Horizontal bars with intervals.
    Bars(Bars),
    /// Lines or steps.
    Curves(Curves),
    /// Two distributions over the same bins.
    Histograms(Histograms),
    /// Steps of a process.
    Flow(Flow),
}

impl Chart {
    fn render(&self, id: usize) -> Markup {
        match self {
            Self::Bars(chart) => chart.render(id),
            Self::Curves(chart) => chart.render(id),
            Self::Histograms(chart) => chart.render(id),
            Self::Flow(chart) => chart.render(),
        }
    }
}

macro_rules! into_chart {
    ($($kind:ident),*) => {
        $(
            impl From<$kind> for Chart {
                fn from(chart: $kind) -> Self {
                    Self::$kind(chart)
                }
            }
        )*
    };
}

into_chart!(Bars, Curves, Histograms, Flow);

/// The frame of every SVG: caption, legend, title and description for those who do not see it.
struct Figure<'a> {
    id: usize,
    title: &'a str,
    note: &'a str,
    description: String,
    /// Names of the series with their classes, shown when there are two or more.
    legend: Vec<(&'a str, String)>,
    height: f64,
    body: Markup,
}

/// The width of every SVG in its own units; text is 13 units high.
const WIDTH: f64 = 680.0;

impl Figure<'_> {
    fn render(self) -> Markup {
        let (title_id, description_id) = (format!("t{}", self.id), format!("d{}", self.id));
        html! {
            figure {
                figcaption {
                    (clip(self.title))
                    @if self.legend.len() > 1 {
                        span.legend {
                            @for (name, class) in &self.legend { span { i class={ "key " (class) } {} (clip(name)) } }
                        }
                    }
                }
                div.scroll tabindex="0" role="group" aria-labelledby=(title_id) {
                    svg viewBox={ "0 0 " (WIDTH) " " (px(self.height)) } role="img"
                        aria-labelledby={ (title_id) " " (description_id) } {
                        title id=(title_id) { (clip(self.title)) }
                        desc id=(description_id) { (clip(&self.description)) }
                        (self.body)
                    }
                }
                @if !self.note.is_empty() { p.note { (self.note) } }
            }
        }
    }
}

/// A coordinate, short and always finite.
fn px(coordinate: f64) -> String {
    let text = format!("{:.1}", if coordinate.is_finite() { coordinate } else { 0.0 });
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Text of data, cut where it would drown the page.
fn clip(text: &str) -> std::borrow::Cow<'_, str> {
    clip_to(text, 400)
}

fn clip_to(text: &str, characters: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => text.into(),
        Some(_) => {
            let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
            (kept.trim_end().to_owned() + "…").into()
        }
    }
}

/// About how wide a text of 13 units is, rather too wide than cut off.
fn text_width(text: &str) -> f64 {
    let width = |c| match c {
        '%' | '@' | 'm' | 'w' | 'M' | 'W' => 12.5,
        '&' | '<' | '>' | '+' | '=' | '~' => 11.0,
        '\u{1100}'.. => 13.0,
        'A'..='Z' => 9.5,
        _ => 7.6,
    };
    text.chars().map(width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of everything, with hostile names and numbers.
    fn page() -> Page {
        let evil = "<script>alert('x')</script>\"&";
        let hostile = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.0, 1e-300];
        let mut bars = Bars::new(evil, Axis::new(evil)).series([evil, "b"]).reference(f64::NAN, evil).note(evil);
        for value in hostile {
            bars = bars.group(evil, [Bar::new(value).interval(value, f64::NAN), Bar::new(1.0).interval(value, 2.0)]);
        }
        let curves = Curves::new(evil, Axis::new(evil), Axis::new(evil).percent().range(f64::NAN, 1.0))
            .curve(Curve::line(evil, hostile.map(|x| (x, x))))
            .curve(Curve::step("one", [(0.0, 1.0)]))
            .curve(Curve::line("none", []))
            .diagonal();
        let histograms = Histograms::new(evil, evil, vec![f64::NEG_INFINITY, 0.0, f64::MAX, f64::NAN])
            .reference(evil, hostile[..3].to_vec())
            .current(evil, vec![1.0, 2.0]);
        let table = Table::new([Column::text(evil), Column::number(evil)])
            .caption(evil)
            .row([Cell::text(evil), Cell::number(f64::NAN, 2).tone(Tone::Bad)])
            .row([]);
        Page::new(evil, evil).section(
            Section::new(evil)
                .text(evil)
                .facts([Fact::new(evil, evil).tone(Tone::Warn)])
                .table(table)
                .chart(bars)
                .chart(curves)
                .chart(histograms)
                .chart(Flow::new([Step::new(evil, evil, Tone::Good)])),
        )
    }

    #[test]
    fn names_from_data_are_escaped() {
        let html = page().render();
        assert!(!html.contains("<script"), "a name became an element");
        assert!(!html.contains("\"&<"), "a name left its attribute");
        assert!(html.contains("&lt;script&gt;alert('x')&lt;/script&gt;&quot;&amp;"));
    }

    #[test]
    fn every_coordinate_is_finite() {
        let html = page().render();
        for word in ["NaN", "inf\"", "inf ", "inf,"] {
            assert!(!html.contains(word), "{word} in {html}");
        }
        assert!(html.contains("undefined"));
        let mut numbers = 0;
        for attribute in ["x", "y", "x1", "x2", "y1", "y2", "width", "height", "cx", "cy"] {
            for part in html.split(&format!(" {attribute}=\"")).skip(1) {
                let value = part.split('"').next().expect("split gives one");
                assert!(value.parse::<f64>().is_ok_and(|v| v.abs() < 1e5), "{attribute}={value}");
                numbers += 1;
            }
        }
        assert!(numbers > 50);
    }

    #[test]
    fn a_page_stays_small_whatever_the_data() {
        let long = "x".repeat(1_000_000);
        let mut bars = Bars::new(&long, Axis::new("x"));
        let mut table = Table::new([Column::text("Group"), Column::number("n")]);
        for i in 0..10_000_u32 {
            bars = bars.bar(format!("group {i}"), Bar::new(f64::from(i)).interval(0.0, 1e4));
            table = table.row([Cell::text(&long[..1000]), Cell::count(u64::from(i))]);
        }
        let curve = Curve::line("roc", (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))));
        let bins = (0..=5_000).map(f64::from).collect();
        let section = Section::new("Large")
            .table(table)
            .chart(bars)
            .chart(Curves::new("c", Axis::new("x"), Axis::new("y")).curve(curve))
            .chart(Histograms::new("h", "x", bins).reference("a", vec![1.0; 5_000]).current("b", vec![2.0; 5_000]));
        let html = Page::new("Large", "").section(section).render();
        assert!(html.len() < 200_000, "{} bytes", html.len());
        assert!(html.contains("9,800 more rows") && html.contains("9,960 more groups"), "what is left out is said");
    }

    #[test]
    fn a_small_page_reads_as_written() {
        let page = Page::new("Audit", "flights").section(
            Section::new("Selection")
                .facts([Fact::new("Rows", number::count(26_115))])
                .table(
                    Table::new([Column::text("Group"), Column::number("Rate")])
                        .row([Cell::text("A"), Cell::percent(0.312, 1).tone(Tone::Good)]),
                )
                .chart(Bars::new("Rate", Axis::new("rate").percent()).bar("A", Bar::new(0.312).interval(0.3, 0.33))),
        );
        let html = page.render();
        let body = html.split_once("<body>").expect("a body").1;
        insta::assert_snapshot!(body.replace("><", ">\n<"));
    }
}
