//! From a year of real flights to an audited, served and watched model, in one process and one folder.
//!
//! `cargo run --release --example quickstart` needs nothing else; `examples/data/README.md` describes the data. With
//! `--features ort` before and `-- --runtime ort` behind, the model is served on ONNX Runtime and answers the same.

use indicatif::{ProgressBar, ProgressStyle};
use ml_platform::core::arrow::{array::BooleanArray, datatypes::DataType};
use ml_platform::core::report::{Axis, Curve, Curves, Page, Section};
use ml_platform::core::trainer::{self, FitContext, logistic::Logistic};
use ml_platform::core::{
    Dataset, InferenceRuntime, Table, Tensors, bundle, dataset::Role, runtime::native::NativeRuntime,
};
use ml_platform::core::{metric::BinaryScores, model::positive_probabilities, split, transform};
use ml_platform::features::{Entity, FeatureStoreExt, FeatureView, HistoricalRequest, ingest::parquet, validate};
use ml_platform::govern::{AuditFrame, EvidenceGate, GateParams, GroupFairness, ModelCard, card::IntendedUse};
use ml_platform::monitor::{DriftMonitor, KolmogorovSmirnov, Panel, PopulationStability, Reference, Sample};
use ml_platform::monitor::{WindowParams, WindowSink};
use ml_platform::registry::{AliasMove, GatedRegistry, NewVersion, Promotion};
use ml_platform::serve::{Request, http};
use ml_platform::{BiasAuditor, Error, Model, Platform, Result, Server, Trainer};
use std::{path::Path, sync::Arc, time::Duration};

const WEATHER: [&str; 6] = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"];
const FLIGHT: [&str; 7] = ["carrier", "origin", "dest", "distance", "hour", "weekday", "scheduled_minutes"];
const THRESHOLD: f64 = 0.3; // a flight this likely to be late is flagged

#[tokio::main]
async fn main() -> Result<()> {
    let folder = Path::new("target/quickstart");
    std::fs::remove_dir_all(folder).ok(); // every run starts anew
    let platform = Platform { runtimes: vec![runtime()?], ..Platform::open(folder).await? };

    let step = start("Read and check a year of flights and weather");
    let flights = parquet::read("examples/data/flights.parquet", None)?;
    let weather = parquet::read("examples/data/weather.parquet", None)?;
    let wind = validate::Expected::new("wind_speed", DataType::Float64).with_range(0.0, 150.0);
    let check = validate::Expectations::new().column(wind).unique(["origin", "event_time"]).validate(&weather)?;
    done(&step, format!("{} flights; weather: {check}", flights.rows()));

    let step = start("Join to each departure the weather known by then");
    let airport = Entity::new("airport".parse()?, [("origin", DataType::Utf8)])?;
    let measured = WEATHER.map(|name| (name, DataType::Float64));
    let view = FeatureView::new("weather".parse()?, airport, "event_time", measured)?
        .with_created_time("created_time")?
        .with_ttl(Duration::from_secs(3 * 3600));
    let rows = weather.select(&[&["origin", "event_time", "created_time"][..], &WEATHER].concat())?.to_batch()?;
    platform.features.apply(&[view]).await?;
    platform.features.append(&"weather".parse()?, rows).await?;
    let features = WEATHER.map(|name| format!("weather:{name}"));
    let wanted = features.iter().map(|name| name.parse()).collect::<Result<Vec<_>>>()?;
    let landed = flights.drop_nulls(&["arr_delay"])?;
    let request = HistoricalRequest::new(landed, "event_time").with_features(wanted);
    let joined = platform.features.historical_table(request).await?;
    let late: BooleanArray = joined.floats("arr_delay")?.iter().map(|minutes| Some(minutes? > 15.0)).collect();
    let joined = joined.with_column("late", Arc::new(late))?;
    done(&step, format!("{} flights that arrived", joined.rows()));

    let step = start("Learn on January to June which flights arrive more than 15 minutes late");
    let data = Dataset::new(joined).features(features)?.features(FLIGHT)?.label("late")?;
    let data = data.role("event_time", Role::EventTime)?;
    let (first_half, rest) = split::by_time(&data, "2013-07-01T00:00:00-04:00".parse()?)?;
    let (july, later) = split::by_time(&rest, "2013-08-01T00:00:00-04:00".parse()?)?;
    let bar = step.clone();
    let context =
        FitContext::default().on_metric(move |name, at, value| bar.set_message(format!("{at}: {name} {value:.4}")));
    let (training, july) = (first_half.to_table()?.to_batch()?, july.to_table()?);
    let fit = move || Logistic::new(Default::default())?.fit(&first_half, &context);
    let model = platform.compute.run(fit).await??;
    done(&step, format!("{} coefficients from {} flights", model.coefficients().len(), training.num_rows()));

    let step = start("Measure on July, and audit by carrier");
    let scores = positive_probabilities(&model.predict(&transform::inputs(model.signature(), &july.to_batch()?)?)?)?;
    let metrics = BinaryScores::at_threshold(&labels(&july)?, &scores, None, THRESHOLD)?;
    let frame = AuditFrame::from_scores(&scores, THRESHOLD)?
        .with_labels(labels(&july)?.into_iter().map(Some))?
        .with_sensitive("carrier", &july.strings("carrier")?)?;
    let audit = GroupFairness::new(Default::default())?.audit(&frame)?;
    done(&step, format!("ROC AUC {:.3}, Brier score {:.3}", metrics.roc_auc.unwrap_or(f64::NAN), metrics.brier));

    let step = start("Publish the bundle, ask the gate, move the alias");
    let inputs = transform::inputs(model.signature(), &training)?;
    let seen = Sample::from_predictions(&inputs, &model.predict(&inputs)?)?;
    let uses = IntendedUse { primary_uses: vec!["Warn of late arrivals at departure.".into()], ..Default::default() };
    let bundle = trainer::bundle(&model, &training)?
        .json(bundle::METRICS, &metrics)?
        .json(bundle::BIAS, &audit)?
        .json(bundle::CARD, &ModelCard { intended_use: uses, ..Default::default() })?
        .json(bundle::REFERENCE, &Reference::freeze(&seen, &Default::default())?)?
        .build()?;
    let name = "late-arrival".parse()?;
    let version = platform.publish(&name, &bundle, NewVersion::new(bundle.digest(), "quickstart")).await?;
    let gate = EvidenceGate::new(GateParams {
        minimum_metrics: [("roc_auc".into(), 0.65)].into(),
        audited: vec!["carrier".into()],
        card_fields: vec!["intended_use.primary_uses".into()],
        ..Default::default()
    })?;
    let to = AliasMove::set("champion".parse()?, version, "quickstart");
    let gated = GatedRegistry::new(platform.registry.clone(), platform.artifacts.clone(), gate, [to.alias.clone()]);
    match gated.promote(&name, to).await? {
        Promotion::Moved(change) => done(&step, format!("{name}@{} is version {version}", change.alias)),
        Promotion::Refused(verdict) => return Err(Error::permission_denied(verdict.reasons().join("; "))),
    }

    let step = start("Serve it with the Open Inference Protocol v2");
    let sink = Arc::new(WindowSink::new(WindowParams { max_rows: 200_000, ..Default::default() })?);
    let ks = Arc::new(KolmogorovSmirnov::new(Default::default())?);
    let psi = Arc::new(PopulationStability::new(Default::default())?);
    let monitor = DriftMonitor::new(sink.clone(), Panel::new(vec![ks, psi])?);
    monitor.watch(&name, version, &bundle)?;
    let server = Arc::new(platform.server().serve("late-arrival@champion".parse()?).sink(sink).build()?);
    server.load().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    tokio::spawn(axum::serve(listener, http::router(server.clone())).into_future());
    done(&step, format!("{url}/v2/models/{name}, run by {}", server.model(&name, None)?.report));

    let step = start("Predict August to December through HTTP, and watch for drift");
    let (mut by_month, mut apart) = (vec![(7.0, metrics.roc_auc.unwrap_or(f64::NAN))], 0.0_f64);
    let later = later.to_table()?;
    for month in 8..=12 {
        let rows = later.filter(&later.floats("month")?.iter().map(|m| Some(m? == f64::from(month))).collect())?;
        let inputs = transform::inputs(model.signature(), &rows.to_batch()?)?;
        let served = ask(&url, &inputs, &step).await?;
        let expected = positive_probabilities(&model.predict(&inputs)?)?;
        apart = served.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(apart, f64::max);
        let auc = BinaryScores::new(&labels(&rows)?, &served, None)?.roc_auc;
        by_month.push((f64::from(month), auc.unwrap_or(f64::NAN)));
    }
    server.close().await; // every prediction is recorded now
    let watched = monitor.report(&name, version)?;
    done(&step, format!("served and in-process predictions differ by {apart:.1e} at most"));
    println!("\nAugust to December against January to June\n{watched}");
    if apart > 1e-6 {
        return Err(Error::internal("the server does not give what the model gives").with("difference", apart));
    }

    let told = "Learned on January to June, measured on July, then served: each later month is scored as its flights landed. \
                0.5 is chance.";
    let quality = Curves::new("Quality by month", Axis::new("month of 2013"), Axis::new("ROC AUC").range(0.5, 0.8));
    let page = Page::new("Late arrivals out of New York", format!("{name}@{version}, bundle {:.12}", bundle.digest()))
        .section(Section::new("Is it still good?").text(told).chart(quality.curve(Curve::line("model", by_month))))
        .section(audit.to_section())
        .section(watched.to_section("Drift: August to December against January to June"));
    std::fs::write(folder.join("report.html"), page.render()).map_err(failed)?;
    println!("The same with pictures: {}", folder.join("report.html").display());
    Ok(())
}

/// Asks the server as any client would, 2,000 rows a request.
async fn ask(server: &str, inputs: &Tensors, step: &ProgressBar) -> Result<Vec<f64>> {
    let (client, mut scores) = (reqwest::Client::new(), Vec::new());
    for from in (0..inputs.rows()).step_by(2_000) {
        let some = inputs.slice_rows(from..inputs.rows().min(from + 2_000))?;
        let question = Request::new("late-arrival".parse()?, some);
        let post = client.post(format!("{server}{}", http::client::path(&question)));
        let answer = post.body(http::client::body(&question)?).send().await.map_err(failed)?;
        let body = answer.error_for_status().map_err(failed)?.text().await.map_err(failed)?;
        scores.extend(positive_probabilities(&http::client::read(&body)?.outputs)?);
        step.set_message(format!("{} of {} rows", from, inputs.rows()));
    }
    Ok(scores)
}

/// What runs the model: the native runtime, or what `--runtime` says.
fn runtime() -> Result<Arc<dyn InferenceRuntime>> {
    let said: Vec<String> = std::env::args().skip(1).collect();
    match said.join(" ").as_str() {
        "" | "--runtime native" => Ok(Arc::new(NativeRuntime)),
        #[cfg(feature = "ort")]
        "--runtime ort" => Ok(Arc::new(ml_platform::core::runtime::ort::OrtRuntime::new(Default::default())?)),
        _ => Err(Error::invalid_input("usage: quickstart [--runtime native|ort]; ort needs `--features ort`")),
    }
}

fn labels(rows: &Table) -> Result<Vec<bool>> {
    Ok(rows.floats("late")?.iter().map(|late| late == Some(1.0)).collect())
}

fn start(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}").expect("a valid template");
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn done(bar: &ProgressBar, result: impl std::fmt::Display) {
    bar.finish_and_clear();
    println!("✓ {} ({:.1} s)\n    {result}", bar.prefix(), bar.elapsed().as_secs_f64());
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable("the quickstart cannot go on").with_source(source)
}
