//! The lists of the configuration: `[block:|allow:|mandatory:|popular:][plain:|hosts:]PATH`.

use std::path::{Path, PathBuf};

use dnsvet_core::lists::{self, Format};
use dnsvet_core::snapshot::{Builder, Role};

use super::{CompileError, ListStatus};

/// One entry of `lists`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is for; block where nothing is said.
    pub role: Role,
    /// How it is written; told from its first lines where nothing is said.
    pub format: Option<Format>,
    /// The file.
    pub path: PathBuf,
}

impl Source {
    /// Parses an entry. A word before a colon that is neither a role nor a format belongs to the path.
    pub fn parse(text: &str) -> Self {
        let (mut role, mut format, mut rest) = (Role::Block, None, text);
        if let Some((word, behind)) = rest.split_once(':')
            && let Some(known) = Role::ALL.into_iter().find(|role| role.as_str() == word)
        {
            (role, rest) = (known, behind);
        }
        if let Some((word, behind)) = rest.split_once(':')
            && let Ok(known) = word.parse()
        {
            (format, rest) = (Some(known), behind);
        }
        Self { role, format, path: rest.into() }
    }

    /// Reads the file into the builder as one more list.
    ///
    /// # Errors
    /// If the file can't be read, or no line of it is a rule. Single bad lines are skipped and reported.
    pub fn load(&self, builder: &mut Builder) -> Result<ListStatus, CompileError> {
        let text = std::fs::read(&self.path)
            .map_err(|source| CompileError::List { path: self.path.clone(), source })?;
        let name = name_of(&self.path);
        let format = self.format.unwrap_or_else(|| Format::detect(&text));
        add(builder, &name, self.role, "", &text, format, &self.path)
    }
}

/// Adds a list's text to the builder.
pub fn add(
    builder: &mut Builder,
    name: &str,
    role: Role,
    licence: &str,
    text: &[u8],
    format: Format,
    path: &Path,
) -> Result<ListStatus, CompileError> {
    let list = builder.list(name, role, licence);
    let mut first_rejected = None;
    let counts = lists::parse(
        text,
        format,
        |entry| {
            builder.add(list, &entry.name, entry.exact);
        },
        |rejected| {
            let told =
                || format!("{}:{}: {:?}: {}", path.display(), rejected.line, rejected.text, rejected.why);
            first_rejected.get_or_insert_with(told);
        },
    );
    if let (0, Some(first)) = (counts.entries, &first_rejected) {
        let (path, first) = (path.to_owned(), first.clone());
        return Err(CompileError::NoRules { path, lines: counts.lines, format, first });
    }
    if let Some(first) = &first_rejected {
        tracing::warn!(list = name, rejected = counts.rejected, first, "lines of a list were skipped");
    }
    let (name, role) = (name.to_owned(), role.as_str().to_owned());
    Ok(ListStatus { name, role, entries: counts.entries, rejected: counts.rejected, first_rejected })
}

/// A list is called after its file, without folder and last extension.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_role_format_and_path() {
        let parsed = |text: &str| {
            let Source { role, format, path } = Source::parse(text);
            (role, format, path.display().to_string())
        };
        assert_eq!(parsed("/a/b.txt"), (Role::Block, None, "/a/b.txt".into()));
        assert_eq!(parsed("allow:hosts:/a/b"), (Role::Allow, Some(Format::Hosts), "/a/b".into()));
        assert_eq!(parsed("plain:b"), (Role::Block, Some(Format::Plain), "b".into()));
        assert_eq!(parsed("popular:b"), (Role::Popular, None, "b".into()));
        assert_eq!(parsed("c:/lists/b"), (Role::Block, None, "c:/lists/b".into()));
    }
}
