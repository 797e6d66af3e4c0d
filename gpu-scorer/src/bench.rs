//! `dnsvet-scorer bench`: names scored a CPU-second, by our own forward pass, tract and onnxruntime.
//!
//! All run in turn, round by round, on one thread and on the same names, and the best round of each counts:
//! so a busy machine slows all of them or none. Time is the thread's own CPU time, where the system tells
//! it. onnxruntime is measured through Python if `python3` has it; if not, its ratios are null and the
//! report says why. Packing names for the kernels is measured on any machine; where there is a GPU, so are the
//! kernels, by the wall clock, packing and copies included (see gpu.rs).

mod gpu;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dnsvet_core::model::ModelError;
use dnsvet_models::infer::{Backend, InferError, OwnCpu, Scorer};
use dnsvet_models::manifest;
use serde::Serialize;

use crate::backend::BackendError;
use crate::device::{Cuda, Program};
use crate::registry::{self, Entry, RegistryError};

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Folder of models; the bundled ones without it.
    #[arg(long)]
    registry: Option<std::path::PathBuf>,
    /// Rounds; the best of each counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Names of a round.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(64..))]
    names: u32,
    /// Also measure a stack of drawn weights, of the shape that the large model is trained in.
    #[arg(long)]
    drawn_stack: bool,
    /// Python with onnxruntime.
    #[arg(long, default_value = "python3")]
    python: String,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The models.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A forward pass.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The GPU that was found.
    #[error(transparent)]
    Gpu(#[from] BackendError),
    /// A bug of ours: the drawn stack does not fit together.
    #[error(transparent)]
    Drawn(#[from] ModelError),
    /// Two implementations do not give the same scores, so their times can't be compared.
    #[error("{model}: {other} gives {got} for {name:?}, our own forward pass {own}")]
    Differ {
        /// The model.
        model: String,
        /// The other implementation.
        other: &'static str,
        /// The name.
        name: String,
        /// Our logit.
        own: f32,
        /// The other's.
        got: f32,
    },
}

/// Names a CPU-second of one model.
#[derive(Debug, Clone, Serialize)]
struct Rates {
    own: f64,
    tract: Option<f64>,
    onnxruntime: Option<f64>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// Names of a round.
    names: u32,
    /// Mean bytes of a name.
    name_bytes: f64,
    rounds: u32,
    /// By model.
    names_per_cpu_s: BTreeMap<String, Rates>,
    /// By model: names packed for the kernels a CPU-second, one thread.
    names_packed_per_cpu_s: BTreeMap<String, f64>,
    /// By model, then by names of a batch: names a second on the first GPU, each stream kept busy. Empty
    /// without a GPU.
    names_per_gpu_s: BTreeMap<String, BTreeMap<usize, f64>>,
    /// `MODEL_vs_OTHER`: our rate over the other's.
    ratios: BTreeMap<String, Option<f64>>,
    /// Why a ratio is null.
    notes: Vec<String>,
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<ExitCode, BenchError> {
    let names = sample_names(args.names as usize);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes: usize = names.iter().map(|name| name.len()).sum();
    let mut report = Report {
        names: args.names,
        name_bytes: bytes as f64 / names.len() as f64,
        rounds: args.rounds,
        names_per_cpu_s: BTreeMap::new(),
        names_packed_per_cpu_s: BTreeMap::new(),
        names_per_gpu_s: BTreeMap::new(),
        ratios: BTreeMap::new(),
        notes: Vec::new(),
    };
    let gpu = Cuda::open().inspect_err(|reason| report.notes.push(format!("no GPU measured: {reason}"))).ok();
    let mut models = Vec::new();
    for entry in registry::open(args.registry.as_deref())? {
        let name = entry.name().to_owned();
        let Some(model) = entry.model() else {
            report.notes.push(format!("{name}: imported, no forward pass of our own to compare"));
            continue;
        };
        models.push((name.clone(), Arc::clone(model)));
        let (rates, note) = measure(&entry, &names, args)?;
        for (other, rate) in [("tract", rates.tract), ("onnxruntime", rates.onnxruntime)] {
            report.ratios.insert(format!("{name}_vs_{other}"), rate.map(|rate| rates.own / rate));
        }
        report.notes.extend(note.map(|note| format!("{name}_vs_onnxruntime: {note}")));
        report.names_per_cpu_s.insert(name, rates);
    }
    if args.drawn_stack {
        let model = Arc::new(gpu::drawn_stack()?);
        let mut scorer = OwnCpu::new(Arc::clone(&model));
        let mut own = 0.0f64;
        for _ in 0..args.rounds {
            own = own.max(rate(&mut scorer, &names, &mut vec![0.0; names.len()])?);
        }
        let name = model.spec().name.clone();
        report.names_per_cpu_s.insert(name.clone(), Rates { own, tract: None, onnxruntime: None });
        models.push((name, model));
    }
    for (name, model) in models {
        let Some(program) = Program::of(&model) else {
            report.notes.push(format!("{name}: no kernel runs it"));
            continue;
        };
        report.names_packed_per_cpu_s.insert(name.clone(), gpu::packed(&program, &names, args.rounds));
        if let Some(cuda) = &gpu {
            let rates = gpu::scored(cuda, &model, &program, &names, args.rounds)?;
            report.names_per_gpu_s.insert(name, rates);
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report) {
    println!("names a CPU-second, one thread, best of {} rounds of {}:", report.rounds, report.names);
    for (model, rates) in &report.names_per_cpu_s {
        let [tract, onnxruntime] =
            [rates.tract, rates.onnxruntime].map(|rate| rate.map_or("-".into(), |rate| format!("{rate:.0}")));
        println!("  {model:<8} own {:>10.0}   tract {tract:>10}   onnxruntime {onnxruntime:>10}", rates.own);
    }
    for (model, rate) in &report.names_packed_per_cpu_s {
        println!("  {model:<8} packed for a gpu {rate:>10.0}");
    }
    for (model, rates) in &report.names_per_gpu_s {
        for (batch, rate) in rates {
            println!("  {model:<8} gpu {rate:>10.0} names a second in batches of {batch}");
        }
    }
    for (name, ratio) in &report.ratios {
        println!("  {name:<24} {}", ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")));
    }
    for note in &report.notes {
        println!("  {note}");
    }
}

/// Rates of one model, and why onnxruntime has none.
fn measure(entry: &Entry, names: &[&str], args: &Args) -> Result<(Rates, Option<String>), BenchError> {
    let mut own = entry.scorer(Backend::OwnCpu)?;
    let mut tract = entry.scorer(Backend::Tract)?;
    let mut logits = vec![0.0; names.len()];
    let mut theirs = vec![0.0; names.len()];
    let mut rates = Rates { own: 0.0, tract: None, onnxruntime: None };
    let mut note = None;
    for _ in 0..args.rounds {
        rates.own = rates.own.max(rate(own.as_mut(), names, &mut logits)?);
        let of_tract = rate(tract.as_mut(), names, &mut theirs)?;
        rates.tract = Some(rates.tract.unwrap_or(0.0).max(of_tract));
        compare(entry.id(), "tract", names, &logits, &theirs)?;
        if note.is_some() {
            continue;
        }
        match onnxruntime(entry, names, &args.python) {
            Ok((rate, theirs)) => {
                compare(entry.id(), "onnxruntime", names, &logits, &theirs)?;
                rates.onnxruntime = Some(rates.onnxruntime.unwrap_or(0.0).max(rate));
            }
            Err(reason) => note = Some(reason),
        }
    }
    Ok((rates, note))
}

fn compare(
    model: &str,
    other: &'static str,
    names: &[&str],
    own: &[f32],
    theirs: &[f32],
) -> Result<(), BenchError> {
    let mut all = names.iter().zip(own).zip(theirs);
    match all.find(|((_, own), got)| (*own - *got).abs() > 1e-4 + 1e-4 * own.abs()) {
        None => Ok(()),
        Some(((name, own), got)) => Err(BenchError::Differ {
            model: model.to_owned(),
            other,
            name: (*name).to_owned(),
            own: *own,
            got: *got,
        }),
    }
}

/// Names a CPU-second of a forward pass.
fn rate(scorer: &mut dyn Scorer, names: &[&str], logits: &mut [f32]) -> Result<f64, InferError> {
    passes_rate(|| scorer.score(names, logits)).map(|passes| passes * names.len() as f64)
}

/// Passes a CPU-second; goes on until a tenth of a second is spent, so that the clock is fine enough.
fn passes_rate<E>(mut pass: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let start = cpu_time();
    let mut passes = 0;
    loop {
        pass()?;
        passes += 1;
        let spent = cpu_time().saturating_sub(start);
        if spent >= Duration::from_millis(100) {
            return Ok(f64::from(passes) / spent.as_secs_f64());
        }
    }
}

/// This thread's time on a CPU; wall time where the system does not tell.
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = schedstat.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

const PYTHON: &str = r#"
import json, sys, time
head = json.loads(sys.stdin.buffer.readline())
try:
    import numpy, onnxruntime
except ImportError as error:
    print(json.dumps({"reason": f"{error} (pip install onnxruntime)"}))
    sys.exit()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
graph = sys.stdin.buffer.read(head["graph_bytes"])
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
tokens = numpy.frombuffer(sys.stdin.buffer.read(), "<i8").reshape(-1, head["length"])
entry = session.get_inputs()[0].name
best = 0.0
for batch in (64, 256):
    start, passes, logits = time.thread_time(), 0, None
    while time.thread_time() - start < 0.1:
        parts = [session.run(None, {entry: tokens[at:at + batch]})[0] for at in range(0, len(tokens), batch)]
        passes += 1
    best = max(best, passes * len(tokens) / (time.thread_time() - start))
logits = numpy.concatenate(parts).reshape(-1)
print(json.dumps({"names_per_s": best, "logits": [float(logit) for logit in logits]}))
"#;

/// Rate and logits of onnxruntime, or why there are none.
fn onnxruntime(entry: &Entry, names: &[&str], python: &str) -> Result<(f64, Vec<f32>), String> {
    let manifest = entry.manifest();
    if manifest.output != manifest::Output::Logit {
        return Err("its graph does not give logits".into());
    }
    let mut tokens = Vec::new();
    for name in names {
        manifest::tokens(manifest.tokenizer, manifest.length, name, &mut tokens);
    }
    let head = serde_json::json!({ "graph_bytes": entry.onnx().len(), "length": manifest.length });
    let mut input = format!("{head}\n").into_bytes();
    input.extend_from_slice(entry.onnx());
    tokens.iter().for_each(|token| input.extend(token.to_le_bytes()));

    let mut child = Command::new(python)
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("can't start {python}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Without onnxruntime the script ends before it has read all; its answer says so.
        let _ = stdin.write_all(&input);
    }
    let output = child.wait_with_output().map_err(|error| format!("{python}: {error}"))?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("{python}: {}", stderr.lines().last().unwrap_or("no answer"))
    })?;
    if let Some(reason) = answer["reason"].as_str() {
        return Err(reason.to_owned());
    }
    let logits = answer["logits"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64);
    let logits: Vec<f32> = logits.map(|logit| logit as f32).collect();
    match answer["names_per_s"].as_f64() {
        Some(rate) if logits.len() == names.len() => Ok((rate, logits)),
        _ => Err(format!("{} logits for {} names", logits.len(), names.len())),
    }
}

/// Made-up names of two to four labels with the lengths of real ones (about 19 bytes).
fn sample_names(count: usize) -> Vec<String> {
    const SYLLABLES: [&str; 16] = [
        "net", "shop", "ver", "ca", "lo", "stream", "x", "app", "mi", "tech", "go", "in", "data", "r4",
        "sun", "-",
    ];
    const SUFFIXES: [&str; 6] = [".com", ".net", ".org", ".co.uk", ".top", ".de"];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let name = |_| {
        let mut name = String::new();
        if below(3) == 0 {
            name += ["cdn.", "mail.", "img3.", "eu-1."][below(4)];
        }
        for _ in 0..2 + below(5) {
            name += SYLLABLES[below(SYLLABLES.len())];
        }
        name + "a" + SUFFIXES[below(SUFFIXES.len())]
    };
    (0..count).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_names_are_names_of_usual_length() {
        let names = sample_names(2_000);
        assert!(names.iter().all(|name| dnsvet_core::name::Name::parse(name).is_ok()));
        let bytes: usize = names.iter().map(String::len).sum();
        assert!((14..24).contains(&(bytes / names.len())), "{}", bytes / names.len());
    }

    #[test]
    fn cpu_time_goes_on() {
        let start = cpu_time();
        let mut sum = 0u64;
        while cpu_time() == start {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() > start);
    }
}
