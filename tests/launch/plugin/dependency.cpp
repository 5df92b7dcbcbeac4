// A library of a test program that its loader finds only in the circumstances of its start.

extern "C" int number_from_the_library(int n) { return n + 100; }
