"""Stage 4: keyframe bytes -> a decoded picture -> measures, in jailed child processes.

`pool.DecoderPool` is what the looker uses; `job` holds its values. A zygote (`zygote`) has av and numpy loaded and
forks workers (`worker`), which lock themselves in (`jail`) before they see the first byte of a camera and decode with
`codec`.
"""
