//! The contract of [`BatchSource`].

use crate::dataset::BatchSource;
use arrow::array::RecordBatch;

fn rows(source: &impl BatchSource) -> Vec<RecordBatch> {
    source.scan().expect("a scan").collect::<Result<_, _>>().expect("whole")
}

/// Clause 1: a second scan, and one begun while another is under way, give the same rows in the same order.
pub async fn scans_repeat(source: impl BatchSource) {
    let whole =
        |batches: &[RecordBatch]| arrow::compute::concat_batches(&source.schema(), batches).expect("one schema");
    let mut unfinished = source.scan().expect("a scan");
    let started = unfinished.next();
    let first = whole(&rows(&source));
    assert!(first.num_rows() > 0, "a source without rows proves nothing");
    assert_eq!(whole(&rows(&source)), first);
    let resumed: Vec<RecordBatch> = started.into_iter().chain(unfinished).collect::<Result<_, _>>().expect("whole");
    assert_eq!(whole(&resumed), first);
}

/// Clause 2: no batch has other columns than the source says.
pub async fn batches_have_the_schema(source: impl BatchSource) {
    for batch in rows(&source) {
        assert_eq!(batch.schema(), source.schema());
    }
}

/// Runs the suite of [`BatchSource`](crate::dataset::BatchSource) over a source that has rows.
#[macro_export]
macro_rules! dataset_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        $crate::conformance_tests! {
            $crate::conformance::dataset, $factory, [$($($known),*)?];
            scans_repeat,
            batches_have_the_schema,
        }
    };
}
