use super::{Tone, clip, number};
use maud::{Markup, html};

/// Rows beyond these are left out of a page, and counted below the table.
const MOST_ROWS: usize = 200;

/// A table whose first column names the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// One line above the table; may be empty.
    pub caption: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows; a row with fewer cells than columns ends in empty ones.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    ///
    /// Columns without names make a list of names and values without a header.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { caption: String::new(), columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// The same with a caption.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// Adds a row.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.rows.push(cells.into_iter().collect());
        self
    }

    pub(super) fn render(&self) -> Markup {
        let blank = Cell::text("");
        let has_header = self.columns.iter().any(|column| !column.name.is_empty());
        html! {
            div.scroll tabindex="0" role="group" {
                table class=[(!has_header).then_some("pairs")] {
                    @if !self.caption.is_empty() { caption { (clip(&self.caption)) } }
                    @if has_header {
                        thead {
                            tr {
                                @for column in &self.columns {
                                    th scope="col" class=[column.align.class()] { (clip(&column.name)) }
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in self.rows.iter().take(MOST_ROWS) {
                            tr {
                                @for (i, column) in self.columns.iter().enumerate() {
                                    @let cell = row.get(i).unwrap_or(&blank);
                                    @if i == 0 {
                                        th scope="row" class=[cell.class(column.align)] { (cell.tone.mark()) (clip(&cell.text)) }
                                    } @else {
                                        td class=[cell.class(column.align)] { (cell.tone.mark()) (clip(&cell.text)) }
                                    }
                                }
                            }
                        }
                    }
                }
                @if self.rows.len() > MOST_ROWS {
                    p.note { (number::count((self.rows.len() - MOST_ROWS) as u64)) " more rows are not shown." }
                }
            }
        }
    }
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, with its unit.
    pub name: String,
    /// Where its cells stand.
    pub align: Align,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Left }
    }

    /// A column of numbers.
    #[must_use]
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Right }
    }
}

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Align {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

impl Align {
    fn class(self) -> Option<&'static str> {
        match self {
            Self::Left => None,
            Self::Right => Some("n"),
        }
    }
}

/// One value in a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What is shown.
    pub text: String,
    /// How it is to be taken.
    pub tone: Tone,
}

impl Cell {
    /// Text as it is.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Neutral }
    }

    /// A number with a fixed count of decimals.
    #[must_use]
    pub fn number(value: f64, decimals: usize) -> Self {
        Self::text(number::fixed(value, decimals))
    }

    /// A share as percent.
    #[must_use]
    pub fn percent(share: f64, decimals: usize) -> Self {
        Self::text(number::percent(share, decimals))
    }

    /// A count.
    #[must_use]
    pub fn count(n: u64) -> Self {
        Self::text(number::count(n))
    }

    /// The same with another tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn class(&self, align: Align) -> Option<String> {
        let classes: Vec<_> = align.class().into_iter().chain(self.tone.class()).collect();
        (!classes.is_empty()).then(|| classes.join(" "))
    }
}
