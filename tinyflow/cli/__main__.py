from tinyflow.cli import main

main()
