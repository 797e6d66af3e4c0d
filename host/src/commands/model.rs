//! `dnsvet model`: train, list, evaluate, import, export, and put in force.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dnsvet_models::data::Sources;
use dnsvet_models::manifest::Manifest;
use dnsvet_models::onnx;
use dnsvet_models::publish::{self, PublishError};
use dnsvet_models::recipe::Recipe;
use dnsvet_models::registry::{Registry, RegistryError};
use dnsvet_models::report::EvaluateError;
use dnsvet_models::train::{Progress, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::out::say;
use crate::config::{Config, ConfigError, Flags};

mod evaluate;
mod govern;

/// Train, list, evaluate, import and export models, and put them in force.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet model list
  dnsvet model train --recipe small --data names --out registry
  dnsvet model train --recipe cascade --data names --out registry --epochs 3 --sample 100000
                                          killed in the middle, the same command goes on and gives the same models
  dnsvet model evaluate small --data names --out report
  dnsvet model challenge small --registry registry    scores beside the model in force, touches no verdict
  dnsvet model promote small --registry registry
  dnsvet model rollback
  dnsvet model import own.onnx --manifest own.json --out registry
  dnsvet model export small --out registry
  dnsvet model import-keras mlbridge_model.hdf5 --name seed --out registry")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Train on the names in a folder and store the model in a registry
    Train(Train),
    /// List the models of a registry, or those that come with dnsvet, and which is in force
    List {
        /// The registry's folder
        #[arg(long, value_name = "DIR")]
        registry: Option<PathBuf>,
        /// One JSON manifest a line, then one line of what is in force, was before and was done
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Flags,
    },
    Promote(govern::Promote),
    Rollback(govern::Rollback),
    Challenge(govern::Challenge),
    Rebase(govern::Rebase),
    Evaluate(evaluate::Args),
    /// Check an ONNX file against its manifest and store both in a registry
    Import {
        /// The graph: input `tokens`, int64 [n, length]; output float [n] or [n, 2]
        onnx: PathBuf,
        /// Its manifest
        #[arg(long, value_name = "FILE")]
        manifest: PathBuf,
        /// The registry's folder
        #[arg(long, value_name = "REGISTRY")]
        out: PathBuf,
    },
    /// Store a model that comes with dnsvet in a registry: its ONNX graph, its own form, manifest and card
    Export {
        /// Its name: small, large or seed
        name: String,
        /// The registry's folder
        #[arg(long, value_name = "REGISTRY")]
        out: PathBuf,
    },
    /// Convert the seed's CNN from the file that Keras wrote
    ImportKeras {
        /// The .hdf5 file
        file: PathBuf,
        /// What to call it
        #[arg(long, default_value = "seed")]
        name: String,
        /// The registry's folder
        #[arg(long, value_name = "REGISTRY")]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Train {
    /// What to train; cascade is small and then large
    #[arg(long, value_enum)]
    recipe: Kind,
    /// The folder with benign-train-meta.tsv.gz and malicious-train.tsv.gz
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The registry's folder
    #[arg(long, value_name = "REGISTRY")]
    out: PathBuf,
    /// Passes over the names [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    epochs: Option<u32>,
    /// Names a step [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Training names at most, half of them malicious [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..))]
    sample: Option<u32>,
    /// Which sources to learn from: all in the folder, or those whose licence lets the model be given away
    #[arg(long, value_enum, default_value_t = TakenFrom::All)]
    sources: TakenFrom,
    /// Where all random choices start; the same seed gives the same bytes [default: the recipe's]
    #[arg(long)]
    seed: Option<u64>,
    /// Progress and results on standard output, one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Small,
    Large,
    Cascade,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TakenFrom {
    All,
    Shippable,
}

/// Why the work failed.
#[derive(Debug, thiserror::Error)]
pub enum ModelCommandError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is not one.
    #[error("{}: {source}; examples/own-model/README.md says what a manifest holds", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// JSON could not be written.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A model of the registry can't be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// No artifact came about.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A model can't be judged.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The model in force stays as it was.
    #[error(transparent)]
    Govern(#[from] govern::GovernError),
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The report can't be written.
    #[error(transparent)]
    Out(#[from] evaluate::OutError),
}

/// Does what was asked; what was made goes to standard output, progress to standard error.
pub fn run(args: Args) -> Result<ExitCode, ModelCommandError> {
    match args.what {
        What::Train(train) => run_training(&train)?,
        What::List { registry, json, config } => list(registry.as_deref(), json, &config.load()?)?,
        What::Promote(args) => govern::promote(args)?,
        What::Rollback(args) => govern::roll_back(args)?,
        What::Challenge(args) => govern::challenge(args)?,
        What::Rebase(args) => govern::rebase(args)?,
        What::Evaluate(args) => evaluate::run(&args)?,
        What::Import { onnx, manifest, out } => {
            let parsed = serde_json::from_slice(&read(&manifest)?)
                .map_err(|source| ModelCommandError::Manifest { path: manifest, source })?;
            let (manifest, latency) = publish::import(read_graph(&onnx)?, parsed, &out)?;
            eprintln!("{}: {latency}", manifest.id);
            stored(&manifest, &out);
        }
        What::Export { name, out } => stored(&publish::export(&name, &out)?, &out),
        What::ImportKeras { file, name, out } => stored(&publish::keras(&read(&file)?, &name, &out)?, &out),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_training(train: &Train) -> Result<(), ModelCommandError> {
    let mut recipes = match train.recipe {
        Kind::Small => vec![Recipe::small()],
        Kind::Large => vec![Recipe::large()],
        Kind::Cascade => vec![Recipe::small(), Recipe::large()],
    };
    for recipe in &mut recipes {
        for table in recipe.tables_mut() {
            table.epochs = train.epochs.map_or(table.epochs, |epochs| epochs as usize);
            table.batch = train.batch.map_or(table.batch, |batch| batch as usize);
        }
        recipe.sample = train.sample.map_or(recipe.sample, |sample| sample as usize);
        recipe.seed = train.seed.unwrap_or(recipe.seed);
        recipe.sources = match train.sources {
            TakenFrom::All => Sources::All,
            TakenFrom::Shippable => Sources::Shippable,
        };
    }
    let manifests = if train.json {
        publish::train(&recipes, &train.data, &train.out, &mut |progress| {
            if let Ok(line) = serde_json::to_string(&progress) {
                say!("{line}");
            }
        })?
    } else {
        let mut bars = Bars::default();
        let made = publish::train(&recipes, &train.data, &train.out, &mut |progress| bars.show(&progress))?;
        bars.clear();
        made
    };
    for manifest in &manifests {
        if train.json {
            say!("{}", serde_json::to_string(manifest)?);
        } else {
            stored(manifest, &train.out);
        }
    }
    Ok(())
}

/// A bar for each training that runs: bags are trained side by side.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    running: Vec<(Stage, ProgressBar)>,
}

impl Bars {
    fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Step { stage, epoch, names, of, loss } => {
                let bar = self.bar(*stage, *of as u64);
                bar.set_position(*names as u64);
                bar.set_message(format!("{stage}, epoch {epoch}, loss {loss:.4}"));
            }
            Progress::Epoch { stage, epoch, loss, validation_loss, validation_auc, best } => {
                let kept = if *best { "" } else { " (not better)" };
                self.all.suspend(|| {
                    eprintln!(
                        "{stage}, epoch {epoch}: loss {loss:.4}, validation loss {validation_loss:.4}, AUC {validation_auc:.4}{kept}"
                    );
                });
            }
        }
    }

    /// The bar of a stage; those of stages that are through go when another begins.
    fn bar(&mut self, stage: Stage, of: u64) -> ProgressBar {
        if let Some((_, bar)) = self.running.iter().find(|(known, _)| *known == stage) {
            return bar.clone();
        }
        self.running.retain(|(_, bar)| {
            let through = bar.position() + 1_000 >= bar.length().unwrap_or(0);
            if through {
                bar.finish_and_clear();
            }
            !through
        });
        let template = "{msg} [{bar:30}] {human_pos}/{human_len} names, {per_sec}, {eta}";
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::new(of).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let bar = self.all.add(bar);
        self.running.push((stage, bar.clone()));
        bar
    }

    fn clear(&self) {
        self.running.iter().for_each(|(_, bar)| bar.finish_and_clear());
    }
}

fn list(registry: Option<&Path>, json: bool, config: &Config) -> Result<(), ModelCommandError> {
    let registry = open(registry)?;
    let standing = govern::standing(config)?;
    for name in registry.names()? {
        let manifest = registry.get(&name)?.manifest;
        if json {
            say!("{}", serde_json::to_string(&manifest)?);
            continue;
        }
        let auc = manifest.metrics.as_ref().map_or("-".into(), |metrics| format!("{:.4}", metrics.clean_auc));
        let limits = &manifest.thresholds;
        say!(
            "{}\t{} parameters\tAUC {auc}\tallow below {:.6}, block above {:.6}{}",
            manifest.id,
            manifest.parameters,
            limits.allow_below,
            limits.block_above,
            govern::marked(&standing, &manifest.id)
        );
    }
    if json {
        say!("{standing}");
    } else {
        govern::say_standing(&standing);
    }
    Ok(())
}

fn open(registry: Option<&Path>) -> Result<Registry, RegistryError> {
    registry.map_or_else(|| Ok(Registry::bundled()), Registry::open)
}

fn stored(manifest: &Manifest, registry: &Path) {
    say!("{}\t{}", manifest.id, registry.join(&manifest.name).display());
}

fn read(path: &Path) -> Result<Vec<u8>, ModelCommandError> {
    fs::read(path).map_err(|source| ModelCommandError::Read { path: path.to_owned(), source })
}

/// An ONNX file, up to a byte more than is taken, so that it is refused as too large and never held whole.
fn read_graph(path: &Path) -> Result<Vec<u8>, ModelCommandError> {
    let failed = |source| ModelCommandError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(onnx::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
