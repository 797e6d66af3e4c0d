//! The data folder: keys, tokens and the query history lie in it, so it is its owner's alone.
//!
//! The surprise: SQLite gives the files beside a database the database's mode, so a database must have its own
//! before it is opened.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// What group and others may do.
const OTHERS: u32 = 0o077;
/// In a folder with this bit everybody has files, as in `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes the folder with mode 0700. From one that is there and ours, the rights of group and others are taken;
/// one that is not ours is left as it is, with a line in the log.
///
/// # Errors
/// If it is no folder and none can be made, or its mode can't be set.
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let Some(mode) = open_mode(path)? else { return Ok(()) };
    let ours = fs::metadata(path)?.uid() == rustix::process::geteuid().as_raw();
    if !ours || mode & STICKY != 0 {
        let mode = format!("{mode:04o}");
        tracing::warn!(path = %path.display(), mode, "others can get into the data folder, which is not this user's alone; name another with data_dir");
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))
}

/// The mode of a folder that others than its owner get into; `None` if nobody else does.
///
/// # Errors
/// If it can't be looked at.
pub fn open_mode(path: &Path) -> io::Result<Option<u32>> {
    let mode = fs::metadata(path)?.mode() & 0o7777;
    Ok((mode & OTHERS != 0).then_some(mode))
}

/// Makes an empty file that its owner alone can read, unless there is one.
///
/// # Errors
/// If there is none and none can be made.
pub fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_for_its_owner_and_one_of_ours_is_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let fresh = parent.path().join("fresh");
        make(&fresh).unwrap();
        assert_eq!((mode(&fresh), open_mode(&fresh).unwrap()), (0o700, None));
        let open = parent.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(open_mode(&open).unwrap(), Some(0o755));
        make(&open).unwrap();
        assert_eq!(mode(&open), 0o700);
        let shared = parent.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
        make(&shared).unwrap();
        assert_eq!(mode(&shared), 0o1777, "a folder such as /tmp stays everybody's");
    }

    #[test]
    fn a_file_is_made_for_its_owner_and_one_that_is_there_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("x.db");
        make_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::write(&path, "kept").unwrap();
        make_file(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(make_file(&parent.path().join("nowhere/x.db")).is_err());
    }
}
