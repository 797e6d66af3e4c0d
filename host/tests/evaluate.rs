//! `dnsvet model evaluate` as a person runs it, on a small folder of names.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dnsvet_models::evaluate::Metrics;
use dnsvet_models::report::Evaluation;

#[test]
fn the_report_is_printed_and_written_and_gives_the_metrics_at_its_top() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let out = folder.path().join("report");
    let text = said(&evaluate(folder.path(), &["--out", &out.display().to_string()]));
    for part in ["seed@", "AUC clean", "n-grams", "by class", "decisions", "clean moved to .top"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let mut files: Vec<String> =
        fs::read_dir(&out).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["classes.svg", "reliability.svg", "report.json", "roc.svg"]);

    let json = said(&evaluate(folder.path(), &["--json"]));
    assert_eq!(json.lines().count(), 1);
    let (printed, written): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&json).unwrap(),
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap(),
    );
    assert_eq!(printed, written, "the same names give the same report");
    let metrics: Metrics = serde_json::from_str(&json).unwrap();
    let evaluation: Evaluation = serde_json::from_str(&json).unwrap();
    assert_eq!(evaluation.metrics, metrics);
    assert_eq!(evaluation.report.names.total(), metrics.benign + metrics.malicious);
    assert_eq!(evaluation.report.baselines.len(), 3, "the seed is no baseline of itself");
    for rate in &evaluation.report.baselines[1].recall.pooled.recall {
        assert!(rate.found.rate > 0.8, "the suffix gives these names away: {rate:?}");
    }
}

#[test]
fn what_can_t_be_judged_or_written_ends_with_one_and_a_line_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let file = folder.path().join("taken");
    fs::write(&file, "mine").unwrap();
    let output = evaluate(folder.path(), &["--out", &file.display().to_string()]);
    fails_saying(&output, "taken is a file; --out takes a folder");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    fails_saying(&evaluate(&folder.path().join("nowhere"), &[]), "--data takes the folder");
}

fn evaluate(data: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsvet"));
    command.args(["model", "evaluate", "seed", "--data"]).arg(data).args(more);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn fails_saying(output: &Output, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("dnsvet: ") && said.contains(part) && output.stdout.is_empty(), "{said}");
}

/// Clean shops, others of one list, and malicious names that the suffix alone gives away.
fn data(folder: &Path) {
    let benign: String = (0..3_000)
        .map(|i| format!("shop{i}.de\t\thageziTop-2023\t{}\n", ["clean", "single"][i % 2]))
        .collect();
    let malicious: String =
        (0..3_000).map(|i| format!("x{}qz.top\tmaltrail/some\tmalware\n", i * 7_919)).collect();
    for (file, text) in [("benign-train-meta.tsv.gz", benign), ("malicious-train.tsv.gz", malicious)] {
        let file = fs::File::create(folder.join(file)).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
        gzip.finish().unwrap();
    }
}
