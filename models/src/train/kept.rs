//! What has been trained so far, on disk: a training that was killed goes on where it was.
//!
//! ```text
//! REGISTRY/.training/KEY.dvm    a bag and its suffix' word, as an artifact
//! REGISTRY/.training/KEY.f32    a table CNN before folding: its tensors, and BLAKE3 of them
//! ```
//!
//! The key is a hash of all that a training depends on: names, labels and weights, recipe, seed, fold, and the
//! version of dnsvet. So what lies there is either exactly what would come out again, or is not looked at. A file
//! that is cut or changed is trained anew. The surprise: the folder goes once the last artifact is stored, for
//! nothing else would ever read it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use dnsvet_core::model::{
    Calibration, Member, Model, ModelError, Network, Spec, Stack, StackWeights, Thresholds,
};

use super::folds::Learnt;
use super::network::Params;
use crate::data::{Corpus, Random};
use crate::recipe::MemberRecipe;

/// Where trainings of one corpus and seed are kept.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    digest: blake3::Hash,
}

impl Kept {
    /// Keeps in this folder, which is made when there is something to keep.
    pub fn new(folder: PathBuf, corpus: &Corpus, seed: u64) -> Self {
        let mut digest = blake3::Hasher::new();
        digest.update(env!("CARGO_PKG_VERSION").as_bytes()).update(&seed.to_le_bytes());
        for example in &corpus.learning {
            digest.update(example.name.as_bytes()).update(&[0, example.class as u8, u8::from(example.clean)]);
            digest.update(&example.weight.to_le_bytes());
        }
        Self { folder, digest: digest.finalize() }
    }

    /// What a training gave, if it came to its end.
    pub(super) fn get(&self, recipe: &MemberRecipe, fold: Option<usize>) -> Option<Learnt> {
        let bytes = fs::read(self.path(recipe, fold)).ok()?;
        match recipe {
            MemberRecipe::Table(recipe) => {
                let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(blake3::OUT_LEN)?)?;
                if blake3::hash(body).as_bytes() != digest {
                    return None;
                }
                let mut params = Params::<f32>::random(&recipe.shape, &mut Random::new(0));
                let mut values = body.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                for slot in params.tensors_mut().into_iter().flatten() {
                    *slot = values.next()?;
                }
                values.next().is_none().then_some(Learnt::Table(params))
            }
            MemberRecipe::Bag(_) => {
                let model = Model::decode(&bytes).ok()?;
                let Network::Stack(stack) = model.network() else { return None };
                let StackWeights { members, suffix, .. } = stack.weights();
                match members.as_slice() {
                    [(_, Member::Bag(bag))] => Some(Learnt::Bag(bag.clone(), Box::new(suffix.clone()))),
                    _ => None,
                }
            }
        }
    }

    /// Keeps what a training gave: whole, or not at all.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub(super) fn put(&self, recipe: &MemberRecipe, fold: Option<usize>, learnt: &Learnt) -> io::Result<()> {
        let bytes = match learnt {
            Learnt::Table(params) => {
                let tensors = params.tensors().into_iter().flatten();
                let mut body: Vec<u8> = tensors.flat_map(|value| value.to_le_bytes()).collect();
                let digest = blake3::hash(&body);
                body.extend(digest.as_bytes());
                body
            }
            Learnt::Bag(bag, suffix) => artifact(StackWeights {
                members: vec![(1.0, Member::Bag(bag.clone()))],
                suffix: (**suffix).clone(),
                bias: 0.0,
            })
            .map_err(io::Error::other)?
            .encode(),
        };
        fs::create_dir_all(&self.folder)?;
        let path = self.path(recipe, fold);
        let fresh = path.with_extension("new");
        fs::write(&fresh, bytes)?;
        fs::rename(fresh, path)
    }

    /// Removes all that was kept.
    ///
    /// # Errors
    /// If the folder can't be removed.
    pub(super) fn remove(&self) -> io::Result<()> {
        if self.folder.exists() { fs::remove_dir_all(&self.folder) } else { Ok(()) }
    }

    /// Where this is, for who can't write there.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, recipe: &MemberRecipe, fold: Option<usize>) -> PathBuf {
        let mut digest = blake3::Hasher::new();
        digest.update(self.digest.as_bytes()).update(format!("{recipe:?} {fold:?}").as_bytes());
        let key = &digest.finalize().to_hex()[..32];
        let form = if matches!(recipe, MemberRecipe::Bag(_)) { "dvm" } else { "f32" };
        self.folder.join(format!("{key}.{form}"))
    }
}

/// The artifact form of a stack that no one will run.
fn artifact(weights: StackWeights) -> Result<Model, ModelError> {
    let spec = Spec {
        name: "training".into(),
        calibration: Calibration::RAW,
        prior: 0.5,
        thresholds: Thresholds { allow_below: 0.0, block_above: 1.0 },
    };
    Model::new(spec, Network::Stack(Box::new(Stack::new(weights)?)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Class, Example};
    use crate::recipe::Recipe;
    use crate::train::Workshop;

    fn corpus(label: &str) -> Corpus {
        let of = |i: usize| {
            let class = if i.is_multiple_of(2) { Class::Scam } else { Class::Benign };
            let clean = class == Class::Benign;
            Example::new(format!("{label}{}.com", i * 7_919), class, clean, Arc::from("list"))
        };
        Corpus::of((0..400).map(of).collect(), 400, 1)
    }

    fn recipe() -> Recipe {
        let mut recipe = Recipe { threads: 2, ..Recipe::small() };
        for member in &mut recipe.members {
            match member {
                MemberRecipe::Table(table) => (table.epochs, table.batch) = (1, 64),
                MemberRecipe::Bag(bag) => (bag.bits, bag.crossed_bits) = (10, 10),
            }
        }
        recipe
    }

    #[test]
    fn a_training_that_was_cut_goes_on_and_ends_in_the_same_bytes() {
        let (folder, corpus, recipe) = (tempfile::tempdir().unwrap(), corpus("n"), recipe());
        let at = folder.path().join(".training");
        let run = |keep: bool| {
            let mut workshop = Workshop::new(&corpus, 1, 2);
            if keep {
                workshop = workshop.keeping(Kept::new(at.clone(), &corpus, 1));
            }
            let mut told = Vec::new();
            let made = workshop.stack(&recipe, &mut |event| told.push(event)).unwrap();
            ((made.stack, made.held), told.len())
        };
        let (alone, all) = run(false);
        assert_eq!(run(true), (alone.clone(), all));
        assert_eq!(fs::read_dir(&at).unwrap().count(), 8);
        assert_eq!(run(true), (alone.clone(), 0), "nothing is trained twice");

        // Killed early: some are missing, one is cut, one is another's.
        let mut files: Vec<PathBuf> = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        fs::remove_file(&files[0]).unwrap();
        let bytes = fs::read(&files[1]).unwrap();
        fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
        fs::write(&files[2], b"not a model").unwrap();
        let (again, told) = run(true);
        assert!(again == alone && told > 0 && told < all, "{told} of {all}");
    }

    #[test]
    fn other_names_another_seed_or_recipe_are_trained_anew() {
        let (folder, recipe) = (tempfile::tempdir().unwrap(), recipe());
        let member = &recipe.members[1];
        let kept = |label: &str, seed| Kept::new(folder.path().to_owned(), &corpus(label), seed);
        let mut paths = vec![
            kept("n", 1).path(member, None),
            kept("n", 1).path(member, Some(0)),
            kept("n", 1).path(&Recipe::small().members[1], None),
            kept("n", 2).path(member, None),
            kept("m", 1).path(member, None),
        ];
        assert_eq!(kept("n", 1).path(member, None), paths[0]);
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 5);
    }
}
