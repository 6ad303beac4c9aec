use super::{
    AttributeReport, BiasAuditor, BiasReport, Cells, Gap, GroupReport, Measure, Omitted,
    interval::{newcombe_difference, ratio, wilson, z_of},
};
use crate::{AuditFrame, form};
use ml_core::{Error, Result};
use std::fmt;

/// Parameters of [`GroupFairness`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupFairnessParams {
    /// The least count of rows, and of rows in the denominator of a rate, with which a group is compared; 30 by default.
    ///
    /// With fewer, the 95 % interval of a rate near one half is wider than ±0.17, so that the gap between the extremes of
    /// several small groups says more about chance than about the model. They are still shown, with their intervals.
    pub minimum_rows: u32,
    /// The level of the intervals, between 0 and 1; 0.95 by default.
    pub confidence: f64,
}

impl Default for GroupFairnessParams {
    fn default() -> Self {
        Self { minimum_rows: 30, confidence: 0.95 }
    }
}

/// Compares selection, true positive and false positive rates between groups.
///
/// Everything follows from the confusion cells of each group, counted in one pass over the rows. Rates have Wilson
/// intervals, differences Newcombe intervals, ratios the intervals of Donner and Zou. The values are those of fairlearn
/// 0.15 except where fairlearn calls 0 of 0 zero: here it is undefined, with the reason.
///
/// ```
/// use ml_govern::{AuditFrame, BiasAuditor, GroupFairness, GroupFairnessParams};
///
/// let frame = AuditFrame::from_decisions([true, false, true]).with_sensitive("sex", [Some("F"), Some("F"), Some("M")])?;
/// let report = GroupFairness::new(GroupFairnessParams { minimum_rows: 1, ..Default::default() })?.audit(&frame)?;
/// assert_eq!(report.attributes[0].groups[0].selection_rate.value(), Some(0.5));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GroupFairness {
    params: GroupFairnessParams,
    z: f64,
}

impl GroupFairness {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when the minimum is 0 or the level is not between 0 and 1.
    pub fn new(params: GroupFairnessParams) -> Result<Self> {
        if params.minimum_rows == 0 {
            return Err(Error::invalid_input("a minimum of no rows").with("minimum_rows", 0));
        }
        let refused =
            || Error::invalid_input("a confidence level not between 0 and 1").with("confidence", params.confidence);
        if !(params.confidence > 0.0 && params.confidence < 1.0) {
            return Err(refused());
        }
        let z = z_of(params.confidence);
        // So close to 1 that no finite interval has the level.
        if !z.is_finite() {
            return Err(refused());
        }
        Ok(Self { params, z })
    }

    fn group(&self, group: &str, cells: Cells) -> GroupReport {
        let measure = |rate: Rate| self.measure(rate, &cells);
        GroupReport {
            group: group.to_owned(),
            is_compared: cells.rows() >= f64::from(self.params.minimum_rows),
            selection_rate: measure(Rate::Selection),
            base_rate: measure(Rate::Base),
            true_positive_rate: measure(Rate::TruePositive),
            false_positive_rate: measure(Rate::FalsePositive),
            accuracy: measure(Rate::Accuracy),
            cells,
        }
    }

    fn measure(&self, rate: Rate, cells: &Cells) -> Measure {
        let (hits, of) = rate.counts(cells);
        if of == 0.0 {
            return Measure::undefined(format!("no {}", rate.denominator()));
        }
        Measure::Defined { value: hits / of, interval: wilson(hits, of, self.z) }
    }

    fn attribute(&self, attribute: &str, groups: Vec<GroupReport>) -> AttributeReport {
        let selection = self.compare(&groups, Rate::Selection);
        let true_positive = self.compare(&groups, Rate::TruePositive);
        let false_positive = self.compare(&groups, Rate::FalsePositive);
        AttributeReport {
            attribute: attribute.to_owned(),
            demographic_parity_difference: selection.difference.clone(),
            demographic_parity_ratio: selection.ratio,
            equal_opportunity_difference: true_positive.difference.clone(),
            equalized_odds_difference: worse(true_positive.difference, false_positive.difference, |t, f| t >= f),
            equalized_odds_ratio: worse(true_positive.ratio, false_positive.ratio, |t, f| t <= f),
            groups,
        }
    }

    fn compare(&self, groups: &[GroupReport], rate: Rate) -> Comparison {
        let minimum = f64::from(self.params.minimum_rows);
        let mut omitted = Vec::new();
        let mut compared = Vec::new();
        for group in groups.iter().filter(|group| group.is_compared) {
            let (hits, of) = rate.counts(&group.cells);
            if of >= minimum {
                compared.push((group.group.as_str(), hits, of));
            } else {
                let reason = match of {
                    0.0 => format!("no {}", rate.denominator()),
                    few => format!("{few} {}, fewer than {minimum}", rate.denominator()),
                };
                omitted.push(Omitted { group: group.group.clone(), reason });
            }
        }
        // Among groups of one rate the smaller counts as the extreme: it has the wider interval, and names stay out of it.
        let lowest = compared.iter().min_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)).then(a.2.total_cmp(&b.2)));
        let highest = compared
            .iter()
            .filter(|group| lowest.is_none_or(|lowest| lowest.0 != group.0))
            .max_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)).then(b.2.total_cmp(&a.2)));
        let (Some(&(lowest, low_hits, low_of)), Some(&(highest, high_hits, high_of))) = (lowest, highest) else {
            let measure = Measure::undefined(format!("{rate}: fewer than two groups to compare"));
            let gap = Gap { measure, lowest: None, highest: None, omitted };
            return Comparison { difference: gap.clone(), ratio: gap };
        };
        let (low, high) = (low_hits / low_of, high_hits / high_of);
        let gap = |measure| Gap {
            measure,
            lowest: Some(lowest.to_owned()),
            highest: Some(highest.to_owned()),
            omitted: omitted.clone(),
        };
        Comparison {
            difference: gap(Measure::Defined {
                value: high - low,
                interval: newcombe_difference((high_hits, high_of), (low_hits, low_of), self.z),
            }),
            ratio: gap(if high == 0.0 {
                Measure::undefined(format!("{rate}: zero in every group"))
            } else {
                Measure::Defined {
                    value: low / high,
                    interval: ratio((low_hits, low_of), (high_hits, high_of), self.z),
                }
            }),
        }
    }
}

impl BiasAuditor for GroupFairness {
    fn audit(&self, frame: &AuditFrame) -> Result<BiasReport> {
        if frame.sensitives().is_empty() {
            return Err(Error::invalid_input("an audit without a sensitive attribute").op("govern.audit"));
        }
        let mut by_attribute: Vec<_> =
            frame.sensitives().iter().map(|sensitive| vec![Cells::default(); sensitive.groups.len()]).collect();
        let mut all = Cells::default();
        for (row, &selected) in frame.decisions().iter().enumerate() {
            let label = frame.labels().and_then(|labels| labels[row]);
            let weight = frame.weights().map_or(1.0, |weights| weights[row]);
            *cell(&mut all, selected, label) += weight;
            for (sensitive, cells) in frame.sensitives().iter().zip(&mut by_attribute) {
                *cell(&mut cells[sensitive.codes[row]], selected, label) += weight;
            }
        }
        if all.rows() == 0.0 {
            return Err(Error::invalid_input("an audit without rows").op("govern.audit").with("rows", frame.rows()));
        }
        let attributes = frame
            .sensitives()
            .iter()
            .zip(by_attribute)
            .map(|(sensitive, cells)| {
                // A group all of whose rows weigh nothing is not there.
                let groups = sensitive.groups.iter().zip(cells).filter(|(_, cells)| cells.rows() > 0.0);
                let groups = groups.map(|(name, cells)| self.group(name, cells)).collect();
                self.attribute(&sensitive.attribute, groups)
            })
            .collect();
        Ok(BiasReport {
            format: form::CURRENT,
            confidence: self.params.confidence,
            minimum_rows: self.params.minimum_rows,
            overall: self.group("(all)", all),
            attributes,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Rate {
    Selection,
    Base,
    TruePositive,
    FalsePositive,
    Accuracy,
}

impl Rate {
    /// What is counted, and among how many.
    fn counts(self, cells: &Cells) -> (f64, f64) {
        match self {
            Self::Selection => (cells.selected(), cells.rows()),
            Self::Base => (cells.positives(), cells.labeled()),
            Self::TruePositive => (cells.true_positives, cells.positives()),
            Self::FalsePositive => (cells.false_positives, cells.negatives()),
            Self::Accuracy => (cells.true_positives + cells.true_negatives, cells.labeled()),
        }
    }

    fn denominator(self) -> &'static str {
        match self {
            Self::Selection => "rows",
            Self::Base | Self::Accuracy => "rows with a label",
            Self::TruePositive => "rows with a positive label",
            Self::FalsePositive => "rows with a negative label",
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Selection => "selection rate",
            Self::Base => "base rate",
            Self::TruePositive => "true positive rate",
            Self::FalsePositive => "false positive rate",
            Self::Accuracy => "accuracy",
        })
    }
}

struct Comparison {
    difference: Gap,
    ratio: Gap,
}

/// The gap that weighs heavier; undefined when either is, since the other may be worse.
fn worse(true_positive: Gap, false_positive: Gap, first_is_worse: impl Fn(f64, f64) -> bool) -> Gap {
    let omitted = [true_positive.omitted.clone(), false_positive.omitted.clone()].concat();
    let gap = match (true_positive.measure.value(), false_positive.measure.value()) {
        (Some(t), Some(f)) if first_is_worse(t, f) => true_positive,
        (Some(_), _) => false_positive,
        (None, _) => true_positive,
    };
    Gap { omitted, ..gap }
}

fn cell(cells: &mut Cells, selected: bool, label: Option<bool>) -> &mut f64 {
    match (selected, label) {
        (true, Some(true)) => &mut cells.true_positives,
        (true, Some(false)) => &mut cells.false_positives,
        (false, Some(false)) => &mut cells.true_negatives,
        (false, Some(true)) => &mut cells.false_negatives,
        (true, None) => &mut cells.unlabeled_selected,
        (false, None) => &mut cells.unlabeled_rejected,
    }
}
