use super::{AttributeReport, BiasReport, Disparity, Measure, display::level};
use ml_core::report::{Axis, Bar, Bars, Cell, Column, Fact, Section, Table, Tone, number};

impl BiasReport {
    /// The report as a section of an HTML page: for each attribute the comparisons, every group, and bars with intervals.
    #[must_use]
    pub fn to_section(&self) -> Section {
        let level = level(self.confidence);
        let mut section = Section::new("Fairness between groups").text(format!(
            "Whiskers and brackets are {level} confidence intervals: Wilson for rates, Newcombe for differences, Donner and \
             Zou for ratios, the last two for the pair of groups named. A rate of fewer than {} rows is shown pale and not \
             compared: it says more about chance than about the model.",
            self.minimum_rows
        ));
        for attribute in &self.attributes {
            let disparities = [
                Disparity::DemographicParityDifference,
                Disparity::DemographicParityRatio,
                Disparity::EqualizedOddsDifference,
            ];
            section = section
                .facts(disparities.map(|disparity| {
                    let value = attribute.gap(disparity).measure.value().unwrap_or(f64::NAN);
                    Fact::new(format!("{}: {disparity}", attribute.attribute), number::fixed(value, 3))
                }))
                .chart(self.selection_chart(attribute))
                .table(gaps(attribute));
            if attribute.groups.iter().any(|group| group.cells.labeled() > 0.0) {
                section = section.chart(self.error_chart(attribute));
            }
            section = section.table(self.groups(attribute));
        }
        section
    }

    fn selection_chart(&self, attribute: &AttributeReport) -> Bars {
        let overall = self.overall.selection_rate.value().unwrap_or(f64::NAN);
        let chart = Bars::new(
            format!("Selection rate by {}", attribute.attribute),
            Axis::new(format!("selected among all rows, with {} interval", level(self.confidence))).percent(),
        )
        .reference(overall, "all rows");
        attribute
            .groups
            .iter()
            .fold(chart, |chart, group| chart.bar(&group.group, self.bar(&group.selection_rate, group.cells.rows())))
    }

    fn error_chart(&self, attribute: &AttributeReport) -> Bars {
        let chart = Bars::new(
            format!("True and false positive rates by {}", attribute.attribute),
            Axis::new("selected among rows with a positive and with a negative label").percent(),
        )
        .series(["true positive rate", "false positive rate"]);
        attribute.groups.iter().fold(chart, |chart, group| {
            let cells = &group.cells;
            let positive = self.bar(&group.true_positive_rate, cells.positives());
            chart.group(&group.group, [positive, self.bar(&group.false_positive_rate, cells.negatives())])
        })
    }

    /// Pale where the rate is not compared; `of` is its denominator.
    fn bar(&self, measure: &Measure, of: f64) -> Bar {
        let bar = Bar::new(measure.value().unwrap_or(f64::NAN));
        let bar = measure.interval().map_or(bar, |interval| bar.interval(interval.low, interval.high));
        if of >= f64::from(self.minimum_rows) { bar } else { bar.muted() }
    }

    fn groups(&self, attribute: &AttributeReport) -> Table {
        let table = Table::new([
            Column::text("Group"),
            Column::number("Rows"),
            Column::number("Selected"),
            Column::number("True positive rate"),
            Column::number("False positive rate"),
            Column::number("Base rate"),
            Column::number("Accuracy"),
        ])
        .caption(format!("Groups of {}", attribute.attribute));
        attribute.groups.iter().fold(table, |table, group| {
            let rows = Cell::text(number::weighted_count(group.cells.rows()));
            table.row([
                Cell::text(&group.group),
                if group.is_compared { rows } else { rows.tone(Tone::Warn) },
                rate(&group.selection_rate),
                rate(&group.true_positive_rate),
                rate(&group.false_positive_rate),
                rate(&group.base_rate),
                rate(&group.accuracy),
            ])
        })
    }
}

fn gaps(attribute: &AttributeReport) -> Table {
    let table = Table::new([
        Column::text("Comparison"),
        Column::number("Value"),
        Column::number("Interval"),
        Column::text("Between"),
    ])
    .caption(format!("Largest gaps between groups of {}", attribute.attribute));
    Disparity::ALL.into_iter().fold(table, |table, disparity| {
        let gap = attribute.gap(disparity);
        let (value, interval) = match &gap.measure {
            Measure::Defined { value, interval } => (
                Cell::number(*value, 3),
                Cell::text(format!("{} to {}", number::fixed(interval.low, 3), number::fixed(interval.high, 3))),
            ),
            Measure::Undefined { .. } => (Cell::text(number::UNDEFINED), Cell::text("")),
        };
        let between = match (gap.measure.reason(), &gap.lowest, &gap.highest) {
            (Some(reason), ..) => reason.to_owned(),
            (None, Some(lowest), Some(highest)) => format!("{lowest} (lowest) and {highest} (highest)"),
            (None, ..) => String::new(),
        };
        table.row([Cell::text(disparity.to_string()), value, interval, Cell::text(between)])
    })
}

fn rate(measure: &Measure) -> Cell {
    Cell::percent(measure.value().unwrap_or(f64::NAN), 1)
}
