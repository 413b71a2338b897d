//! From errors to Python's exceptions: the only place where they are mapped.

use pyo3::exceptions::{
    PyException, PyFileExistsError, PyFileNotFoundError, PyKeyError, PyKeyboardInterrupt,
    PyMemoryError, PyNotImplementedError, PyOSError, PyValueError,
};
use pyo3::prelude::*;

pyo3::create_exception!(
    cellmill,
    Error,
    PyException,
    "What cellmill raises where no exception of Python's own says it better."
);

/// An error of any layer, on its way to Python.
#[derive(Debug)]
pub struct Failure(pub cellmill::Error);

impl From<cellmill::Error> for Failure {
    fn from(error: cellmill::Error) -> Self {
        Self(error)
    }
}

impl From<cellmill_engine::Error> for Failure {
    fn from(error: cellmill_engine::Error) -> Self {
        Self(error.into())
    }
}

impl From<cellmill_io::Error> for Failure {
    fn from(error: cellmill_io::Error) -> Self {
        Self(error.into())
    }
}

impl From<Failure> for PyErr {
    fn from(Failure(error): Failure) -> Self {
        let text = error.to_string();
        match error {
            cellmill::Error::Io(error) => of_file(&error, text),
            cellmill::Error::Engine(error) => of_engine(&error, text),
            cellmill::Error::Parameter(_) | cellmill::Error::Data(_) => PyValueError::new_err(text),
        }
    }
}

fn of_engine(error: &cellmill_engine::Error, text: String) -> PyErr {
    use cellmill_engine::Error as E;
    match error {
        E::Cancelled => PyKeyboardInterrupt::new_err(text),
        E::Budget { .. } => {
            PyMemoryError::new_err(format!("{text}; the budget is cellmill.settings.memory"))
        }
        E::Data(_) | E::Parameter(_) => PyValueError::new_err(text),
        E::Io { .. } => PyOSError::new_err(text),
        E::Outside(inner) => match inner.downcast_ref::<cellmill_io::Error>() {
            Some(error) => of_file(error, text),
            None => Error::new_err(text),
        },
        E::Wire { .. } | E::Bug(_) => Error::new_err(text),
    }
}

fn of_file(error: &cellmill_io::Error, text: String) -> PyErr {
    use cellmill_io::Error as E;
    match error {
        E::NotFound { .. } => PyFileNotFoundError::new_err(text),
        E::MissingElement { .. } => PyKeyError::new_err(text),
        E::Unsupported { .. } => PyNotImplementedError::new_err(text),
        E::Exists { .. } => PyFileExistsError::new_err(text),
        E::NotHdf5 { .. } | E::Locked { .. } | E::Truncated { .. } | E::Io { .. } => {
            PyOSError::new_err(text)
        }
        E::Malformed { .. } | E::Changed { .. } => PyValueError::new_err(text),
        E::Engine(error) => of_engine(error, text),
    }
}

/// What a panic says: a bug, as an exception.
pub fn panicked(payload: &(dyn std::any::Any + Send)) -> PyErr {
    let what = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::new_err(format!("a bug in cellmill, please report it: {what}"))
}
