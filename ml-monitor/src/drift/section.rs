//! A drift report as part of a page.

use super::report::{Bins, ColumnDrift, DriftReport, Finding, LEAST_P, Outcome, Picture};
use ml_core::report::{Axis, Bar, Bars, Cell, Chart, Column, Fact, Histograms, Section, Table, Tone, number};
use std::collections::BTreeMap;

impl DriftReport {
    /// The report as a section of a page: key facts, a table of the findings, and pictures of the columns that moved and
    /// then of the others, twelve at most.
    ///
    /// ```
    /// use ml_core::report::Page;
    /// use ml_monitor::{DriftDetector, PopulationStability, Reference, ReferenceParams, Sample};
    ///
    /// let sample = |from: i32| Sample::new().with_numbers("wind", (0..500).map(|i| f64::from(from + i)));
    /// let reference = Reference::freeze(&sample(0)?, &ReferenceParams::default())?;
    /// let report = PopulationStability::new(Default::default())?.compare(&reference, &sample(300)?)?;
    /// let html = Page::new("Monitoring", "March").section(report.to_section("Drift")).render();
    /// assert!(html.contains("<svg"));
    /// # Ok::<(), ml_core::Error>(())
    /// ```
    #[must_use]
    pub fn to_section(&self, heading: impl Into<String>) -> Section {
        let moved = self.moved().count();
        let undefined = self.undefined().count();
        let facts = [
            Fact::new("Columns that moved", format!("{moved} of {}", self.columns.len())).tone(if moved > 0 {
                Tone::Bad
            } else {
                Tone::Good
            }),
            Fact::new("Columns undefined", number::count(undefined as u64)).tone(if undefined > 0 {
                Tone::Warn
            } else {
                Tone::Neutral
            }),
            Fact::new("Reference rows", number::count(self.reference_rows)),
            Fact::new("Current rows", number::count(self.current_rows)),
        ];
        let mut section = Section::new(heading).facts(facts).table(self.table());
        section = self.left_out().into_iter().fold(section, Section::text);
        if !self.unknown.is_empty() {
            section = section.text(format!("Not in the reference: {}.", self.unknown.join(", ")));
        }
        let still = self.columns.iter().filter(|column| !column.has_moved());
        let charts = self.moved().chain(still).filter_map(|column| Some(chart(column, column.picture.as_ref()?)));
        charts.take(MAX_CHARTS).fold(section, Section::chart)
    }

    fn table(&self) -> Table {
        let header = [
            Column::text("Column"),
            Column::text("Method"),
            Column::number("Statistic"),
            Column::number("Threshold"),
            Column::number("p, corrected"),
            Column::number("Missing"),
            Column::text("Outcome"),
        ];
        let rows = self.findings().filter(|(_, finding)| is_applicable(finding));
        rows.fold(Table::new(header), |table, (column, finding)| table.row(row(column, finding)))
    }

    /// What no row of the table is about: a sentence for each method and reason, with the columns it is not made for.
    fn left_out(&self) -> Vec<String> {
        let mut groups: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
        for (column, finding) in self.findings().filter(|(_, finding)| !is_applicable(finding)) {
            groups.entry((&finding.method, finding.outcome.to_string())).or_default().push(&column.name);
        }
        groups
            .into_iter()
            .map(|((method, outcome), names)| format!("{method} is {outcome} ({}).", names.join(", ")))
            .collect()
    }

    fn findings(&self) -> impl Iterator<Item = (&ColumnDrift, &Finding)> {
        self.columns.iter().flat_map(|column| column.findings.iter().map(move |finding| (column, finding)))
    }
}

fn is_applicable(finding: &Finding) -> bool {
    !matches!(finding.outcome, Outcome::NotApplicable(_))
}

fn row(column: &ColumnDrift, finding: &Finding) -> [Cell; 7] {
    let optional = |value: Option<f64>, cell: fn(f64) -> Cell| value.map_or(Cell::text("–"), cell);
    let share = |share: Option<f64>| share.map_or_else(|| "–".into(), |share| number::percent(share, 1));
    let current = column.current.and_then(|count| count.missing_share());
    let tone = match finding.outcome {
        Outcome::Moved => Tone::Bad,
        Outcome::NotMoved => Tone::Good,
        Outcome::Undefined(_) => Tone::Warn,
        Outcome::NotApplicable(_) => Tone::Neutral,
    };
    [
        Cell::text(&column.name),
        Cell::text(&finding.method),
        optional(finding.statistic, |statistic| Cell::number(statistic, 4)),
        Cell::number(finding.threshold, 2),
        optional(finding.adjusted_p_value, |p| {
            Cell::text(if p < LEAST_P { "< 1e−300".into() } else { number::short(p) })
        }),
        Cell::text(format!("{} → {}", share(column.reference.missing_share()), share(current))),
        Cell::text(finding.outcome.to_string()).tone(tone),
    ]
}

fn chart(column: &ColumnDrift, picture: &Picture) -> Chart {
    let title = if column.has_moved() { format!("{}: moved", column.name) } else { column.name.clone() };
    match &picture.bins {
        Bins::Edges(edges) => Histograms::new(title, &column.name, edges.clone())
            .reference(REFERENCE, picture.reference.clone())
            .current(CURRENT, picture.current.clone())
            .note("The first and last bin also hold what lies beyond.")
            .into(),
        Bins::Categories(names) => {
            let chart = Bars::new(title, Axis::new("share of values").percent()).series([REFERENCE, CURRENT]);
            let shares = picture.reference.iter().zip(&picture.current);
            names
                .iter()
                .zip(shares)
                .filter(|(_, (reference, current))| **reference > 0.0 || **current > 0.0)
                .fold(chart, |chart, (name, (&reference, &current))| {
                    chart.group(name, [Bar::new(reference), Bar::new(current)])
                })
                .into()
        }
    }
}

const MAX_CHARTS: usize = 12;
const REFERENCE: &str = "training";
const CURRENT: &str = "current";

#[cfg(test)]
mod tests {
    use crate::{DriftDetector, PopulationStability, Reference, ReferenceParams, Sample};
    use ml_core::{Result, report::Page};

    #[test]
    fn all_others_have_a_bar_only_where_there_are_others() -> Result<()> {
        let rows = |names: &[&'static str]| {
            let values: Vec<_> = names.iter().cycle().take(300).map(|name| Some(*name)).collect();
            Sample::new().with_text("origin", values)
        };
        let reference = Reference::freeze(&rows(&["EWR", "JFK"])?, &ReferenceParams::default())?;
        let page = |names: &[&'static str]| -> Result<String> {
            let report = PopulationStability::new(Default::default())?.compare(&reference, &rows(names)?)?;
            Ok(Page::new("Monitoring", "").section(report.to_section("Drift")).render())
        };
        assert!(!page(&["EWR", "JFK"])?.contains("all others"));
        assert!(page(&["EWR", "LGA"])?.contains("all others"));
        Ok(())
    }
}
