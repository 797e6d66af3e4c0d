//! Work that may wait: where cores are few, questions go first.
//!
//! Linux counts niceness and policy for each thread. The rest of a process keeps its own; a resolver that runs in a
//! real-time class (`chrt --fifo`) must not compile a million names in it, since nothing else of that class would run
//! on the core until that is done.

/// How far the compiler stands back, as `nice` counts.
pub const COMPILER: i32 = 10;
/// How far the event store's writer does: events wait in bounded memory, so it must get on.
pub const STORE: i32 = 5;

/// Puts the calling thread behind others, until somebody puts it in front again: to be called before each piece of
/// work, for a few system calls. Does nothing where niceness is not a thread's own.
#[cfg_attr(not(target_os = "linux"), allow(unused_variables))]
pub fn step_back(nice: i32) {
    #[cfg(target_os = "linux")]
    linux::step_back(nice);
}

#[cfg(target_os = "linux")]
mod linux {
    pub(super) fn step_back(nice: i32) {
        leave_real_time();
        let now = rustix::process::getpriority_process(None).unwrap_or_default();
        if now < nice
            && let Err(error) = rustix::process::setpriority_process(None, nice)
        {
            tracing::debug!(%error, "background work runs with the priority of all");
        }
    }

    /// The usual scheduling class, if it is a real-time one.
    #[allow(unsafe_code)]
    fn leave_real_time() {
        // SAFETY: a plain system call about the calling thread (0).
        let class = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
        if !matches!(class, libc::SCHED_FIFO | libc::SCHED_RR) {
            return;
        }
        let usual = libc::sched_param { sched_priority: 0 };
        // SAFETY: a plain system call about the calling thread (0); it reads the one integer that it is given.
        if unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &usual) } != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "background work stays in its scheduling class");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_thread_steps_back_and_others_do_not() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        std::thread::spawn(move || {
            let behind = (before + 3).min(19);
            step_back(behind);
            assert_eq!(niceness(), behind);
            step_back(behind - 1);
            assert_eq!(niceness(), behind, "never forward");
        })
        .join()
        .unwrap();
        assert_eq!(niceness(), before);
    }
}
