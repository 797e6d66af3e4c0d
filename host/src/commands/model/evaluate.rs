//! `dnsvet model evaluate`: a model and its baselines on held-back names, as text, JSON and pictures.
//!
//! ```text
//! data folder ─► names ─► scores ─► Evaluation ─► text | --json      --out: report.json and three .svg
//! ```
//!
//! The surprise: the files of `--out` are all written under other names before the first is renamed. Who looks
//! into the folder never sees half a picture; if the disk is full, the old report stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use dnsvet_models::data::Corpus;
use dnsvet_models::manifest::Training;
use dnsvet_models::publish::PublishError;
use dnsvet_models::recipe::Recipe;
use dnsvet_models::registry::Artifact;
use dnsvet_models::report::{self, Evaluation, svg};
use indicatif::{ProgressBar, ProgressStyle};

use super::{ModelCommandError, open};
use crate::commands::out::{self, say};

/// Judge a model and simple baselines on the held-back names of a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The names are those that were held back from training, a tenth of the registrable domains. Baselines (the first
model of dnsvet, n-grams, the suffix alone, the length alone) are judged on the same names; those that learn, learn
from the folder's training names. The same names give the same report, to the byte.

With --out: report.json, roc.svg, reliability.svg, classes.svg. The JSON has the metrics of the model's card at its
top and everything else under \"report\".

Examples:
  dnsvet model evaluate small --data names
  dnsvet model evaluate large --data names --out report
  dnsvet model evaluate small --registry registry --data names --json | jq .report.model.clean_auc")]
pub(super) struct Args {
    /// The model's name.
    name: String,
    /// The folder with the names.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data: PathBuf,
    /// Take the model from this folder instead of those that come with dnsvet.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    registry: Option<PathBuf>,
    /// Write report and pictures into this folder; it is made if need be.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Why the report was not written.
#[derive(Debug, thiserror::Error)]
pub enum OutError {
    /// The place of the folder is taken.
    #[error("{} is a file; --out takes a folder", .0.display())]
    IsFile(PathBuf),
    /// A file can't be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Judges; what came out goes to standard output and into the folder, progress to standard error.
pub(super) fn run(args: &Args) -> Result<(), ModelCommandError> {
    let artifact = open(args.registry.as_deref())?.get(&args.name)?;
    if let Some(folder) = &args.out {
        // A wrong place is told before the work, not after.
        make(folder)?;
    }
    let bar = progress();
    bar.set_message("loading names");
    let corpus = names(&artifact, &args.data)?;
    bar.set_message("baselines learn");
    let evaluation = report::evaluate(&artifact, &corpus, &|label, done, of| {
        bar.set_message(format!("{label} scores"));
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let evaluation = evaluation?;
    if let Some(folder) = &args.out {
        write(folder, &evaluation)?;
    }
    if args.json {
        say!("{}", serde_json::to_string(&evaluation)?);
    } else {
        out::write(format_args!("{}", evaluation.describe()));
    }
    Ok(())
}

/// The names to judge by, and those that baselines learn from: of the model's own training if it was trained
/// here, else of all that the folder holds.
fn names(artifact: &Artifact, data: &Path) -> Result<Corpus, PublishError> {
    let Recipe { sample, seed, sources, .. } = Recipe::small();
    let (sources, sample, seed) = match artifact.manifest.training {
        Some(Training { sources, sample, seed, .. }) => (sources, sample, seed),
        None => (sources, sample, seed),
    };
    Ok(Corpus::load(data, sources, sample, seed)?)
}

fn make(folder: &Path) -> Result<(), OutError> {
    if folder.is_file() {
        return Err(OutError::IsFile(folder.to_owned()));
    }
    fs::create_dir_all(folder).map_err(|source| OutError::Write { path: folder.to_owned(), source })
}

fn write(folder: &Path, evaluation: &Evaluation) -> Result<(), ModelCommandError> {
    let mut json = serde_json::to_string_pretty(evaluation)?;
    json.push('\n');
    let report = &evaluation.report;
    let files = [
        ("report.json", json),
        ("roc.svg", svg::roc(report)),
        ("reliability.svg", svg::reliability(report)),
        ("classes.svg", svg::classes(report)),
    ];
    Ok(replace(folder, &files)?)
}

/// Writes all files beside their places, then moves each into its own.
fn replace(folder: &Path, files: &[(&str, String)]) -> Result<(), OutError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OutError::Write { path, source }
    };
    let fresh = |file: &str| folder.join(format!(".{file}.new"));
    let written = files.iter().try_for_each(|(file, text)| {
        let path = fresh(file);
        fs::write(&path, text).map_err(failed(&path))
    });
    let moved = written.and_then(|()| {
        files.iter().try_for_each(|(file, _)| {
            let path = folder.join(file);
            fs::rename(fresh(file), &path).map_err(failed(&path))
        })
    });
    if moved.is_err() {
        for (file, _) in files {
            let _ = fs::remove_file(fresh(file));
        }
    }
    moved
}

fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len} names, {eta} to go");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn new_files_take_the_place_of_old_ones_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        make(&out).unwrap();
        make(&out).unwrap();
        for text in ["old", "new"] {
            replace(&out, &[("report.json", text.into()), ("roc.svg", text.into())]).unwrap();
        }
        assert_eq!(listed(&out), ["report.json", "roc.svg"]);
        assert_eq!(fs::read_to_string(out.join("roc.svg")).unwrap(), "new");
    }

    #[test]
    fn a_file_in_the_folder_s_place_is_refused_and_a_failure_leaves_the_old_report() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        fs::write(&file, "mine").unwrap();
        let error = make(&file).unwrap_err().to_string();
        assert!(error.ends_with("report is a file; --out takes a folder"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

        // The second file can't be written: its place beside is a folder.
        let out = folder.path().join("out");
        make(&out).unwrap();
        replace(&out, &[("report.json", "old".into())]).unwrap();
        fs::create_dir_all(out.join(".roc.svg.new/taken")).unwrap();
        let files = [("report.json", "new".into()), ("roc.svg", "new".into())];
        let error = replace(&out, &files).unwrap_err().to_string();
        assert!(error.contains(".roc.svg.new"), "{error}");
        assert_eq!(fs::read_to_string(out.join("report.json")).unwrap(), "old");
        assert_eq!(listed(&out), [".roc.svg.new", "report.json"]);
    }
}
