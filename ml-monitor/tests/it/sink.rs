use bytes::Bytes;
use ml_core::{
    Tensor, Tensors,
    id::{ModelName, Version},
    port::{PredictionSink, RequestMeta},
    time::{CreatedTime, ManualClock},
};
use ml_monitor::{
    WindowParams, WindowSink,
    sample::{Column, MAX_TEXT_BYTES},
    window::Dropped,
};
use std::{sync::Arc, time::Duration};

fn meta(model: &str, version: u32) -> RequestMeta {
    let version = Version::new(version).expect("above zero");
    RequestMeta::new("request", ModelName::new(model).expect("a name"), version, CreatedTime::from_micros(0))
}

fn sink(params: WindowParams) -> WindowSink {
    WindowSink::new(params).expect("in range")
}

fn one(x: f32, text: &'static str) -> Tensors {
    Tensors::new()
        .with("x", Tensor::column(vec![x]))
        .and_then(|t| t.with("c", Tensor::column(vec![Bytes::from_static(text.as_bytes())])))
        .expect("names differ")
}

fn output(y: i64) -> Tensors {
    Tensors::new().with("y", Tensor::vector(vec![y])).expect("one name")
}

fn numbers(column: Option<&Column>) -> Vec<f32> {
    let mut numbers = column.and_then(Column::numbers).expect("numbers").to_vec();
    numbers.sort_by(f32::total_cmp);
    numbers
}

const THREADS: u16 = 8;
const EACH: u16 = 2_000;

/// Every thread records its own numbers, in and out, while one takes what is there again and again.
fn record_from_all_threads(sink: &WindowSink, mut meanwhile: impl FnMut()) {
    let meta = meta("late", 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let meta = &meta;
                scope.spawn(move || {
                    for i in 0..EACH {
                        let number = thread * EACH + i;
                        sink.record(meta, &one(f32::from(number), "UA"), &output(i64::from(number)));
                    }
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            meanwhile();
        }
    });
}

#[test]
fn eight_threads_lose_nothing_below_the_bound() {
    let total = usize::from(THREADS * EACH);
    let sink = sink(WindowParams { max_rows: total, ..WindowParams::default() });
    record_from_all_threads(&sink, std::thread::yield_now);

    let window = sink.take(&meta("late", 1).model, Version::FIRST).expect("recorded");
    assert_eq!(window.dropped, Dropped::default());
    assert_eq!(numbers(window.sample.column("x")), (0..THREADS * EACH).map(f32::from).collect::<Vec<_>>());
    let (x, y) =
        (window.sample.column("x").and_then(Column::numbers), window.sample.column("y").and_then(Column::numbers));
    assert_eq!(x, y, "the columns of a row stay together");
    assert_eq!(window.sample.column("c").and_then(Column::categories).expect("text").counts(), [("UA", total as u64)]);
}

#[test]
fn above_the_bound_every_row_is_kept_or_counted() {
    let sink = sink(WindowParams { max_rows: 1_000, ..WindowParams::default() });
    record_from_all_threads(&sink, std::thread::yield_now);
    let window = sink.take(&meta("late", 1).model, Version::FIRST).expect("recorded");
    assert_eq!(window.sample.rows(), 1_000);
    assert_eq!(window.dropped, Dropped { full: u64::from(THREADS * EACH) - 1_000, busy: 0, unfit: 0 });
}

#[test]
fn windows_taken_meanwhile_share_the_rows_without_loss() {
    let sink = sink(WindowParams::default());
    let model = meta("late", 1).model;
    let mut taken = Vec::new();
    record_from_all_threads(&sink, || taken.extend(sink.take(&model, Version::FIRST)));
    taken.extend(sink.take(&model, Version::FIRST));

    assert_eq!(taken.iter().map(|window| window.dropped.total()).sum::<u64>(), 0);
    let mut all: Vec<f32> = taken.iter().flat_map(|window| numbers(window.sample.column("x"))).collect();
    all.sort_by(f32::total_cmp);
    assert_eq!(all, (0..THREADS * EACH).map(f32::from).collect::<Vec<_>>());
}

#[test]
fn the_bound_in_bytes_holds() {
    // 4 bytes each for x and y, 68 for the text.
    let sink = sink(WindowParams { max_bytes: 760, ..WindowParams::default() });
    for i in 0..20_u8 {
        sink.record(&meta("m", 1), &one(f32::from(i), "UA"), &output(0));
    }
    let window = sink.take(&meta("m", 1).model, Version::FIRST).expect("recorded");
    assert_eq!((window.sample.rows(), window.dropped.full), (10, 10));
}

#[test]
fn what_does_not_fit_the_first_prediction_is_counted() {
    let sink = sink(WindowParams::default());
    let meta = meta("m", 1);
    sink.record(&meta, &one(1.0, "a"), &output(1));
    let swapped = Tensors::new()
        .with("c", Tensor::column(vec![Bytes::from_static(b"b")]))
        .and_then(|t| t.with("x", Tensor::column(vec![2.0_f64])))
        .expect("names differ");
    sink.record(&meta, &swapped, &output(1));
    sink.record(&meta, &one(3.0, "a"), &Tensors::new());
    sink.record(&meta, &Tensors::new(), &Tensors::new());
    let text = Tensors::new().with("y", Tensor::vector(vec![Bytes::from_static(b"1")])).expect("one name");
    sink.record(&meta, &one(4.0, "a"), &text);
    let two = Tensors::new().with("y", Tensor::vector(vec![1_i64, 2])).expect("one name");
    sink.record(&meta, &one(5.0, "a"), &two);

    let window = sink.take(&meta.model, Version::FIRST).expect("recorded");
    assert_eq!(numbers(window.sample.column("x")), [1.0, 2.0], "another order and number type are the same columns");
    assert_eq!(window.dropped, Dropped { full: 0, busy: 0, unfit: 3 });
}

#[test]
fn long_text_and_wide_tensors_are_bounded() {
    let sink = sink(WindowParams { max_width: 4, ..WindowParams::default() });
    let meta = meta("m", 1);
    let inputs = Tensors::new()
        .with("c", Tensor::column(vec![Bytes::from(vec![b'x'; 1 << 20])]))
        .and_then(|t| t.with("image", Tensor::column(vec![0_u8; 1])))
        .and_then(|t| t.with("pixels", Tensor::new([1, 5], vec![0_u8; 5])?))
        .expect("names differ");
    sink.record(&meta, &inputs, &output(1));
    let window = sink.take(&meta.model, Version::FIRST).expect("recorded");
    assert_eq!(window.sample.columns().map(Column::name).collect::<Vec<_>>(), ["c", "image", "y"]);
    let text = window.sample.column("c").and_then(Column::categories).expect("text");
    assert_eq!(text.counts(), [("x".repeat(MAX_TEXT_BYTES).as_str(), 1)]);
}

#[test]
fn columns_that_would_share_a_name_are_not_mixed_up() {
    let inputs = Tensors::new()
        .with("x", Tensor::new([1, 2], vec![1.0_f32, 2.0]).expect("shape"))
        .and_then(|t| t.with("x[1]", Tensor::vector(vec![3.0_f32])))
        .expect("names differ");
    assert!(ml_monitor::Sample::from_tensors(&inputs).is_err());
    let sink = sink(WindowParams::default());
    sink.record(&meta("m", 1), &inputs, &output(1));
    let window = sink.take(&meta("m", 1).model, Version::FIRST).expect("recorded");
    assert_eq!(window.sample.columns().map(Column::name).collect::<Vec<_>>(), ["x[0]", "x[1]", "y"]);
    assert_eq!(numbers(window.sample.column("x[1]")), [2.0]);
}

#[test]
fn versions_have_windows_of_their_own() {
    let sink = sink(WindowParams { max_windows: 2, ..WindowParams::default() });
    for (model, version) in [("a", 1), ("a", 2), ("b", 1)] {
        sink.record(&meta(model, version), &one(1.0, "x"), &output(1));
    }
    let (a1, a2, b1) = (meta("a", 1), meta("a", 2), meta("b", 1));
    assert_eq!(sink.tracked(), [(a1.model.clone(), a1.version), (a2.model.clone(), a2.version)]);
    assert_eq!(sink.untracked(), 1);
    assert!(sink.take(&b1.model, b1.version).is_none());

    assert_eq!(sink.close(&a1.model, a1.version).map(|window| window.sample.rows()), Some(1));
    sink.record(&b1, &one(1.0, "x"), &output(1));
    assert_eq!(sink.take(&b1.model, b1.version).map(|window| window.sample.rows()), Some(1));
    assert_eq!(
        sink.take(&b1.model, b1.version).map(|window| window.sample.rows()),
        Some(0),
        "the next window is empty"
    );
}

#[test]
fn windows_tumble_by_rows_and_by_time() {
    #[derive(Debug, Clone)]
    struct Shared(Arc<ManualClock>);
    impl ml_core::time::Clock for Shared {
        fn now(&self) -> CreatedTime {
            self.0.now()
        }
    }
    let clock = Shared(Arc::new(ManualClock::new(CreatedTime::from_micros(0))));
    let params =
        WindowParams { due_rows: Some(3), due_after: Some(Duration::from_secs(60)), ..WindowParams::default() };
    let sink = WindowSink::with_clock(params, clock.clone()).expect("in range");
    let meta = meta("m", 1);
    let record = |rows: usize| (0..rows).for_each(|_| sink.record(&meta, &one(1.0, "x"), &output(1)));
    let due = || {
        sink.take_due(&meta.model, meta.version).map(|w| (w.sample.rows(), w.opened.as_micros(), w.closed.as_micros()))
    };

    assert_eq!(due(), None, "nothing was ever recorded");
    record(2);
    assert_eq!(due(), None);
    record(2);
    clock.0.advance(Duration::from_secs(1));
    assert_eq!(due(), Some((4, 0, 1_000_000)), "enough rows");
    record(1);
    clock.0.advance(Duration::from_secs(59));
    assert_eq!(due(), None, "younger than a minute");
    clock.0.advance(Duration::from_secs(1));
    assert_eq!(due(), Some((1, 1_000_000, 61_000_000)), "old enough");
    clock.0.advance(Duration::from_secs(60));
    assert_eq!(due(), Some((0, 61_000_000, 121_000_000)), "silence is a window too");
}

#[test]
fn parameters_out_of_range_are_refused() {
    let default = WindowParams::default;
    for params in [
        WindowParams { max_rows: 0, ..default() },
        WindowParams { max_bytes: 0, ..default() },
        WindowParams { max_windows: 0, ..default() },
        WindowParams { max_width: 0, ..default() },
        WindowParams { due_rows: Some(0), ..default() },
        WindowParams { due_rows: Some(200_000), ..default() },
        WindowParams { shards: 0, ..default() },
    ] {
        assert!(WindowSink::new(params.clone()).is_err(), "{params:?}");
    }
}
