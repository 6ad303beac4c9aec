use super::{Tone, clip};
use maud::{Markup, html};

/// The steps of a process in order, with what came of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    steps: Vec<Step>,
}

impl Flow {
    /// Keeps steps; a page shows the first 24.
    #[must_use]
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    // A list rather than an SVG: it wraps on a phone and is read out in order.
    pub(super) fn render(&self) -> Markup {
        html! {
            ol.flow {
                @for step in self.steps.iter().take(24) {
                    li class=[step.tone.class()] {
                        strong { (step.tone.mark()) (clip(&step.label)) }
                        @if !step.detail.is_empty() { span { (clip(&step.detail)) } }
                    }
                }
            }
        }
    }
}

/// One step of a [`Flow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub label: String,
    /// What came of it; may be empty.
    pub detail: String,
    /// How it went.
    pub tone: Tone,
}

impl Step {
    /// Keeps a step.
    #[must_use]
    pub fn new(label: impl Into<String>, detail: impl Into<String>, tone: Tone) -> Self {
        Self { label: label.into(), detail: detail.into(), tone }
    }
}
