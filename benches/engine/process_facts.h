/*
** process_facts.h — what the process has used: memory at its most, bytes to and from the disk, sizes of its files.
**
** Linux only (/proc); elsewhere nothing is printed.
*/
#ifndef LSM_BENCH_PROCESS_FACTS_H
#define LSM_BENCH_PROCESS_FACTS_H

/* Begin to watch memory, and to count what is written. `folder`: where the database is. */
void facts_start(const char *folder);
/* Print facts as members of a JSON object, each after a comma. Peaks are those since the last call; what was
** read and written, since the start. Nothing before facts_start. */
void facts_print(void);
/* Put every file of the folder on the disk and out of the system's memory. No engine has it mapped. */
void facts_forget_files(void);

#endif
