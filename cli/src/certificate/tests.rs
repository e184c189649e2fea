//! Certificates of every kind an operator may bring.
