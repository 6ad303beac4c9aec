use super::{Data, ModelCard};
use crate::BiasReport;
use ml_core::{
    report::{Cell, Column, Page, Section, Table, number},
    signature::TensorSpec,
};

impl ModelCard {
    /// The card as an HTML page, with the bias report as its quantitative analysis if there is one.
    ///
    /// What the card does not say stands there as `not stated`: an empty section is information too.
    #[must_use]
    pub fn to_page(&self, bias: Option<&BiasReport>) -> Page {
        let title = if self.details.name.is_empty() { "Model card" } else { &self.details.name };
        let subtitle = ["Model card", &self.details.version, &self.details.model_type]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" · ");
        let page = Page::new(title, subtitle)
            .section(self.details())
            .section(Section::new("Intended use").table(facts([
                ("Primary uses", list(&self.intended_use.primary_uses)),
                ("Primary users", list(&self.intended_use.primary_users)),
                ("Out of scope", list(&self.intended_use.out_of_scope_uses)),
            ])))
            .section(Section::new("Factors").table(facts([
                ("Relevant", list(&self.factors.relevant)),
                ("Evaluated", list(&self.factors.evaluated)),
            ])))
            .section(self.metrics())
            .section(data("Evaluation data", &self.evaluation_data))
            .section(data("Training data", &self.training_data))
            .section(
                Section::new("Quantitative analyses")
                    .table(facts([("Reports in the bundle", list(&self.quantitative_analyses))])),
            );
        let page = match bias {
            Some(report) => page.section(report.to_section()),
            None => page,
        };
        let page = page
            .section(paragraphs("Ethical considerations", &self.ethical_considerations))
            .section(paragraphs("Caveats and recommendations", &self.caveats_and_recommendations));
        match &self.signature {
            Some(signature) => {
                let table = Table::new([
                    Column::text("Tensor"),
                    Column::text("Side"),
                    Column::text("Type"),
                    Column::text("Shape"),
                ]);
                let table = signature.inputs().iter().fold(table, |table, spec| table.row(tensor(spec, "input")));
                let table = signature.outputs().iter().fold(table, |table, spec| table.row(tensor(spec, "output")));
                page.section(Section::new("Signature").table(table))
            }
            None => page,
        }
    }

    fn details(&self) -> Section {
        let details = &self.details;
        Section::new("Model details").text(stated(&details.description)).table(facts([
            ("Version", stated(&details.version)),
            ("Type", stated(&details.model_type)),
            ("Owners", list(&details.owners)),
            ("Contact", stated(&details.contact)),
            ("License", stated(&details.license)),
            ("Trained at", details.trained_at.map_or_else(|| NOT_STATED.to_owned(), |time| time.to_string())),
            ("References", list(&details.references)),
        ]))
    }

    fn metrics(&self) -> Section {
        let metrics = &self.metrics;
        let threshold = metrics.decision_threshold.map_or_else(|| NOT_STATED.to_owned(), number::short);
        let table = Table::new([Column::text("Metric"), Column::number("Value")]);
        let table = metrics.performance.iter().fold(table, |table, (name, value)| {
            table.row([Cell::text(name), Cell::number(value.unwrap_or(f64::NAN), 4)])
        });
        Section::new("Metrics").table(table).table(facts([
            ("Decision threshold", threshold),
            ("Variation approach", stated(&metrics.variation_approach)),
        ]))
    }
}

fn data(heading: &str, data: &Data) -> Section {
    Section::new(heading).text(stated(&data.description)).table(facts([
        ("Source", stated(&data.source)),
        ("Period", stated(&data.period)),
        ("Rows", data.rows.map_or_else(|| NOT_STATED.to_owned(), number::count)),
        ("Motivation", stated(&data.motivation)),
        ("Preprocessing", stated(&data.preprocessing)),
    ]))
}

fn facts<const N: usize>(facts: [(&str, String); N]) -> Table {
    let table = Table::new([Column::text(""), Column::text("")]);
    facts.into_iter().fold(table, |table, (name, value)| table.row([Cell::text(name), Cell::text(value)]))
}

fn paragraphs(heading: &str, texts: &[String]) -> Section {
    if texts.is_empty() {
        return Section::new(heading).text(NOT_STATED);
    }
    texts.iter().fold(Section::new(heading), |section, text| section.text(text))
}

fn tensor(spec: &TensorSpec, side: &str) -> [Cell; 4] {
    let shape = spec.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
    [Cell::text(&spec.name), Cell::text(side), Cell::text(spec.dtype.to_string()), Cell::text(shape)]
}

const NOT_STATED: &str = "not stated";

fn stated(text: &str) -> String {
    if text.trim().is_empty() { NOT_STATED.to_owned() } else { text.to_owned() }
}

fn list(texts: &[String]) -> String {
    stated(&texts.join("; "))
}
