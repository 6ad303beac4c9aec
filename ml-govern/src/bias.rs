//! Bias audits: how decisions differ between groups of people.

mod display;
mod group_fairness;
mod interval;
mod measure;
mod report;
mod section;

pub use group_fairness::{GroupFairness, GroupFairnessParams};
pub use interval::{Interval, newcombe_difference, ratio, wilson};
pub use measure::Measure;
pub use report::{AttributeReport, BiasReport, Cells, Disparity, Gap, GroupReport, Omitted};

use crate::AuditFrame;
use ml_core::Result;
use std::{fmt, sync::Arc};

/// Measures how decisions differ between the groups of each sensitive attribute.
///
/// Bias found is a report, not an error; whether it is acceptable is for a [gate](crate::gate) to say.
///
/// # Contract
/// 1. The order of rows does not matter. (check: `row_order_does_not_matter`)
/// 2. Groups that are treated equally have differences of 0 and ratios of 1. (check: `equal_groups_have_no_disparity`)
/// 3. The names of groups do not change the numbers. (check: `names_do_not_change_the_numbers`)
/// 4. A group with fewer rows than the report's minimum is shown and not compared. (check: `small_groups_are_shown_and_not_compared`)
/// 5. What has no value says why: 0 of 0 is neither 0 nor 1. (check: `undefined_is_said_with_a_reason`)
/// 6. A row of weight 2 counts as the row twice, a row of weight 0 not at all. (check: `weights_count_rows`)
/// 7. Rows without a sensitive value are the group [`MISSING`](crate::audit_frame::MISSING). (check: `missing_is_a_group`)
/// 8. A frame without rows (or of weight 0), or without a sensitive attribute, is
///    [`InvalidInput`](ml_core::ErrorKind::InvalidInput). (check: `nothing_to_audit_is_refused`)
///
/// ```
/// use ml_govern::{AuditFrame, BiasAuditor, GroupFairness, GroupFairnessParams, bias::Disparity};
///
/// // Of 40 women 10 are selected, of 40 men 30.
/// let selected = (0..80).map(|i| if i < 40 { i < 10 } else { i < 70 });
/// let sex = (0..80).map(|i| Some(if i < 40 { "F" } else { "M" }));
/// let frame = AuditFrame::from_decisions(selected).with_sensitive("sex", sex)?;
///
/// let report = GroupFairness::new(GroupFairnessParams::default())?.audit(&frame)?;
/// let gap = report.attribute("sex").unwrap().gap(Disparity::DemographicParityDifference);
/// assert_eq!(gap.measure.value(), Some(0.5));
/// assert_eq!((gap.lowest.as_deref(), gap.highest.as_deref()), (Some("F"), Some("M")));
/// // No label is known, so there is no true positive rate to compare.
/// assert!(report.attribute("sex").unwrap().gap(Disparity::EqualOpportunityDifference).measure.value().is_none());
/// # Ok::<(), ml_core::Error>(())
/// ```
pub trait BiasAuditor: fmt::Debug + Send + Sync + 'static {
    /// Audits every sensitive attribute of the frame. CPU work: async callers go through [`Compute`](ml_core::Compute).
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when there is nothing to audit.
    fn audit(&self, frame: &AuditFrame) -> Result<BiasReport>;
}

impl<A: BiasAuditor + ?Sized> BiasAuditor for Arc<A> {
    fn audit(&self, frame: &AuditFrame) -> Result<BiasReport> {
        (**self).audit(frame)
    }
}
